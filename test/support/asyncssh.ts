import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Debian's AsyncSSH as a server that lets anybody in, or as a client: it has most of what OpenSSH took out. */

const python = ['-W', 'ignore', '-c'] as const

const serverScript = `
import asyncio, asyncssh, json, sys
from asyncssh.kex import get_kex_algs
from asyncssh.encryption import get_encryption_algs
from asyncssh.mac import get_mac_algs
text = lambda names: [name.decode() for name in names]

class Server(asyncssh.SSHServer):
    def begin_auth(self, user): return False

def handle(process):
    process.stdout.write('works\\n')
    process.exit(0)

async def main():
    kinds = ['ssh-ed25519', 'ssh-ed448', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521',
             'ecdsa-sha2-1.3.132.0.10', 'ssh-rsa', 'ssh-dss']
    keys = [asyncssh.generate_private_key(kind) for kind in kinds]
    kex = [name for name in text(get_kex_algs()) if not name.startswith('gss-')]
    server = await asyncssh.create_server(Server, '127.0.0.1', 0, server_host_keys=keys, process_factory=handle,
        kex_algs=kex, encryption_algs=text(get_encryption_algs()), mac_algs=text(get_mac_algs()),
        compression_algs=["zlib@openssh.com", "zlib", "none"])
    print(json.dumps({'port': server.sockets[0].getsockname()[1], 'kex': kex,
        'cipher': text(get_encryption_algs()), 'mac': text(get_mac_algs())}), flush=True)
    await asyncio.get_event_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
`

const clientScript = `
import asyncio, asyncssh, json, sys

async def attempt(options):
    options = {'known_hosts': None, **options}
    async with asyncssh.connect('127.0.0.1', config=None, agent_path=None, **options) as connection:
        result = await connection.run('echo works')
        return result.stdout

async def main():
    for line in sys.stdin:
        try:
            print(json.dumps({'output': await attempt(json.loads(line))}), flush=True)
        except Exception as error:
            print(json.dumps({'error': repr(error)}), flush=True)

asyncio.run(main())
`

export interface AsyncsshServer {
  readonly port: number
  readonly kex: readonly string[]
  readonly cipher: readonly string[]
  readonly mac: readonly string[]
  close(): void
}

export async function startAsyncsshServer(): Promise<AsyncsshServer> {
  const child = spawn('/usr/bin/python3', [...python, serverScript], { stdio: ['pipe', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    return { ...(JSON.parse(line) as Omit<AsyncsshServer, 'close'>), close: () => child.stdin.end() }
  }
  throw new Error('asyncssh does not start')
}

/** Arguments of asyncssh.connect. */
export type AsyncsshOptions = Readonly<Record<string, string | number | readonly string[]>>

export interface AsyncsshClient {
  /** Logs in, runs `echo works` and gives its output, or what went wrong. */
  run(options: AsyncsshOptions): Promise<{ readonly output?: string; readonly error?: string }>
  close(): void
}

export function startAsyncsshClient(): AsyncsshClient {
  const child = spawn('/usr/bin/python3', [...python, clientScript], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async run(options) {
      child.stdin.write(`${JSON.stringify(options)}\n`)
      const { value } = await lines.next()
      return value === undefined ? { error: 'asyncssh ended' } : JSON.parse(value)
    },
    close: () => child.stdin.end(),
  }
}
