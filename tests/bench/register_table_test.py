"""bench/gpu/registers: what it complains about, without a compiler."""

import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
PATH = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"]) / "bench" / "gpu" / "registers"
LOADER = importlib.machinery.SourceFileLoader("registers", str(PATH))
registers = importlib.util.module_from_spec(importlib.util.spec_from_loader("registers", LOADER))
LOADER.exec_module(registers)

SAID = """\
ptxas info    : Compiling entry function 'void neumf::cuda::RunKernel<neumf::cuda::ScanWide\
<neumf::cuda::Tower<32u, 16u, 8u> > >(int)' for 'sm_90a'
    0 bytes stack frame, 0 bytes spill stores, {loads} bytes spill loads
ptxas info    : Used 64 registers, 16 bytes smem
"""


def kernel(name, loads=0):
    return {"name": name, "registers": 64, "stored": 0, "loaded": loads, "shared": 16}


class RegistersTest(unittest.TestCase):
    def test_reads_what_ptxas_says(self):
        self.assertEqual(registers.kernels_in(SAID.format(loads=8)), [kernel("ScanWide<TowerA>", 8)])

    def test_complains_of_scans_that_spill_or_are_missing(self):
        kernels = [kernel(name) for name in registers.MUST_NOT_SPILL]
        self.assertEqual(list(registers.complaints({"sm_90a": kernels})), [])
        for place, name in enumerate(registers.MUST_NOT_SPILL):
            rest = kernels[:place] + kernels[place + 1:]
            self.assertEqual(list(registers.complaints({"sm_90a": rest})),
                             [f"{name} is not compiled for sm_90a"])
            spills = list(registers.complaints({"sm_90a": rest + [kernel(name, 4)]}))
            self.assertIn(f"{name} spills on sm_90a", spills[0])

    def test_complains_of_a_table_that_is_of_other_kernels(self):
        fresh = registers.table({"sm_80": [kernel("Finish")]}, "13.0.88")
        other = registers.table({"sm_80": [kernel("Finish", 4)]}, "13.0.88")
        self.assertEqual(list(registers.staleness(fresh, fresh, "13.0.88")), [])
        self.assertIn("is not what the kernels are now",
                      next(registers.staleness(fresh, other, "13.0.88")))

    def test_lets_another_compiler_make_another_table(self):
        fresh = registers.table({"sm_80": [kernel("Finish")]}, "13.0.88")
        other = registers.table({"sm_80": [kernel("Finish", 4)]}, "12.9.41")
        self.assertEqual(list(registers.staleness(fresh, other, "13.0.88")), [])


if __name__ == "__main__":
    unittest.main()
