# AsyncSSH as a client: asyncssh_client.py port user keyfile cipher kex command; stdin and stdout are the command's.
import asyncio
import subprocess
import sys

import asyncssh

port, user, key, cipher, kex, command = sys.argv[1:]


async def main():
    options = {}
    if cipher:
        options["encryption_algs"] = [cipher]
    if kex:
        options["kex_algs"] = [kex]
    async with asyncssh.connect(
        "127.0.0.1",
        int(port),
        username=user,
        client_keys=[key],
        known_hosts=None,
        config=None,
        agent_path=None,
        **options
    ) as connection:
        # asyncio can wait for pipes, but not for files: what the two copies take counts as the client's.
        with subprocess.Popen(["cat"], stdout=subprocess.PIPE) as source, subprocess.Popen(
            ["cat"], stdin=subprocess.PIPE
        ) as target:
            result = await connection.run(command, stdin=source.stdout, stdout=target.stdin, encoding=None)
            target.stdin.close()
        return result.exit_status


sys.exit(asyncio.run(main()))
