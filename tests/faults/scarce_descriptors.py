"""A server that may open too few files says so in one line."""

import os
import resource
import subprocess
import tempfile
import unittest

FEW = 12
SOON_SECONDS = 20


def allow_few():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, most))


class ScarceDescriptorsTest(unittest.TestCase):

    def test_ends_with_1_and_one_line(self):
        with tempfile.TemporaryDirectory() as directory:
            result = subprocess.run(
                [os.path.join(os.environ["NEUMF_BIN_DIR"], "neumf-server"),
                 f"--checkpoint_dir={directory}", "--listen=127.0.0.1:0",
                 "--metrics_listen=127.0.0.1:0"],
                check=False, capture_output=True, text=True,
                timeout=SOON_SECONDS, preexec_fn=allow_few)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stderr, rf"\Aneumf-server: .* is {FEW}, .*\n\Z")


if __name__ == "__main__":
    unittest.main()
