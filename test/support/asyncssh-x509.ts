import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { runProgram } from './listening.ts'

/** X.509 certificates that AsyncSSH made, and its server that shows them and asks for them. */

/** Types of keys that it makes such certificates for. */
export const x509Kinds = [
  'ssh-ed25519',
  'ssh-ed448',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ecdsa-sha2-1.3.132.0.10',
  'ssh-rsa',
  'ssh-dss',
] as const

const makeScript = `
import asyncssh, json, sys
kinds, user, host = json.load(sys.stdin)
new = asyncssh.generate_private_key
root, middle = new('ecdsa-sha2-nistp256'), new('ecdsa-sha2-nistp384')
names = {'root': 'O=Example,CN=root', 'middle': 'O=Example,CN=middle'}
authority = lambda key, name: root.generate_x509_ca_certificate(key.convert_to_public(), names[name], names['root'])
above = authority(root, 'root')
between = authority(middle, 'middle')
with open('root', 'wb') as file: file.write(above.export_certificate('openssh'))
for kind in kinds:
    key = new(kind, key_size=2048) if kind == 'ssh-rsa' else new(kind)
    key.write_private_key(kind, 'pkcs8-pem')
    makers = {'user': middle.generate_x509_user_certificate, 'host': middle.generate_x509_host_certificate}
    for role, principal, name in (('user', user, '-cert.pub'), ('host', host, '.host')):
        made = makers[role](key.convert_to_public(), 'O=Example,CN=' + role, names['middle'], principals=[principal], hash_alg='sha256')
        with open(kind + name, 'wb') as file:
            file.write(made.export_certificate('pem') + between.export_certificate('pem'))
`

/**
 * Makes in a folder: `root`, an authority as a line; and for each kind a private key of that name, with certificates of a
 * user, `KIND-cert.pub`, and of a host, `KIND.host`, by an authority in between, which is in those files too.
 */
export async function makeX509(folder: string, user: string, host: string): Promise<void> {
  const input = JSON.stringify([x509Kinds, user, host])
  const ran = await runProgram(
    '/usr/bin/python3',
    ['-W', 'ignore', '-c', `import os; os.chdir(${JSON.stringify(folder)})\n${makeScript}`],
    { input },
  )
  if (ran.status !== 0) throw new Error(ran.stderr)
}

const serverScript = `
import asyncio, asyncssh, json, sys
kinds = json.loads(sys.argv[1])

def handle(process):
    process.stdout.write('works\\n')
    process.exit(0)

async def main():
    names = ['x509v3-' + kind for kind in kinds] + ['x509v3-rsa2048-sha256']
    server = await asyncssh.create_server(asyncssh.SSHServer, '127.0.0.1', 0, process_factory=handle,
        server_host_keys=[(kind, kind + '.host') for kind in kinds], authorized_client_keys='authorized', signature_algs=names)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_event_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
`

/** Shows the hosts' certificates of the folder, and takes the users' that its root is above of. */
export async function startX509Server(folder: string, root: string): Promise<{ readonly port: number; close(): void }> {
  writeFileSync(join(folder, 'authorized'), `cert-authority ${root}`)
  const child = spawn('/usr/bin/python3', ['-W', 'ignore', '-c', serverScript, JSON.stringify(x509Kinds)], {
    cwd: folder,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout }))
    return { port: Number(line), close: () => child.stdin.end() }
  throw new Error('asyncssh does not start')
}
