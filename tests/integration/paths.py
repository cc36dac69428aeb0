"""Import this first: makes the modules that the tests share importable.

That is tests/support/python, and the generated protocol in
$NEUMF_PYTHON_PROTO_DIR. Its folder `grpc` (the health service) has the name of a
package of Debian's, so it is added to that package.
"""

import os
import pathlib
import sys

import grpc

_PROTO_DIR = os.environ["NEUMF_PYTHON_PROTO_DIR"]
_TESTS_DIR = pathlib.Path(__file__).resolve().parent.parent

sys.path[1:1] = [_PROTO_DIR, str(_TESTS_DIR / "support" / "python")]
grpc.__path__.append(os.path.join(_PROTO_DIR, "grpc"))
