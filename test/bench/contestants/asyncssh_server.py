# AsyncSSH as a server that lets one key in and runs commands and forwards: asyncssh_server.py hostkey authorized_keys port
import asyncio
import sys

import asyncssh

host_key, authorized, port = sys.argv[1:]


async def handle(process):
    child = await asyncio.create_subprocess_shell(
        process.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    await process.redirect(stdin=child.stdin, stdout=child.stdout)
    process.exit(await child.wait())


class Server(asyncssh.SSHServer):
    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        return True


async def main():
    await asyncssh.create_server(
        Server,
        "127.0.0.1",
        int(port),
        server_host_keys=[host_key],
        authorized_client_keys=authorized,
        process_factory=handle,
        encoding=None,
    )
    await asyncio.Event().wait()


asyncio.run(main())
