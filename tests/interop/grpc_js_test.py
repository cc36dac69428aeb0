"""The server and npm's @grpc/grpc-js."""

import functools

import client_cases
from clients import NodeClient
from tools import need_node

if __name__ == "__main__":
    need_node("@grpc/grpc-js", "@grpc/proto-loader")
    client_cases.run(functools.partial(NodeClient, "grpc_js.js"))
