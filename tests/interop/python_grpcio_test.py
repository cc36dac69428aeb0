"""The server and Debian's python3-grpcio."""

import client_cases
from clients import PythonClient

if __name__ == "__main__":
    client_cases.run(PythonClient)
