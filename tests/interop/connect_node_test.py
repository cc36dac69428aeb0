"""The server and npm's @connectrpc/connect-node."""

import functools

import client_cases
from clients import NodeClient
from tools import need_node

if __name__ == "__main__":
    need_node("@bufbuild/protobuf", "@connectrpc/connect-node")
    client_cases.run(
        functools.partial(NodeClient, "connect_node.js"),
        lacks=(client_cases.SERVICE_CONFIG, client_cases.UNIX_SOCKETS))
