import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { canMakeNamespace, type Namespace, openNamespace } from '../support/namespace.ts'
import { findProgram, haveProgram } from '../support/programs.ts'
import { freePort } from '../support/sshd.ts'

/** SyslogFacility: what arrives at /dev/log, from OpenSSH's programs and from ours. */

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))

/** A /dev of its own, in which somebody listens at `log` and writes down what comes. */
const listener = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('/dev/log')
print('listening', flush=True)
with open(sys.argv[1], 'wb', buffering=0) as f:
    while True: f.write(s.recv(65536).rstrip(b'\\0\\n') + b'\\n')
`
const ownDevices = `
mkdir "$0/dev" && mount -t tmpfs none "$0/dev" || exit
for name in null zero random urandom tty; do touch "$0/dev/$name" && mount --bind "/dev/$name" "$0/dev/$name" || exit; done
mount --rbind "$0/dev" /dev && exec "$@"
`

describe.runIf(canMakeNamespace && haveProgram('python3'))('the system’s log', { timeout: 90_000 }, () => {
  let namespace: Namespace
  const path = (name: string): string => join(namespace.folder, name)
  beforeAll(async () => {
    namespace = await openNamespace(folder => ({
      argv: ['sh', '-c', ownDevices, folder, 'python3', '-c', listener, join(folder, 'log')],
      ready: 'listening',
    }))
    writeFileSync(path('host_key'), formatOpensshV1(generateKey('ed25519')), { mode: 0o600 })
  })
  afterAll(() => namespace?.close())

  /** Facility and severity (RFC 3164, 4.1.1) of the first line that says this. */
  const logged = async (program: string, args: readonly string[], text: RegExp): Promise<[number, number]> => {
    const known = readFileSync(path('log'), 'latin1').length
    const [file, ...own] = program.startsWith('t') ? [process.execPath, bin(program)] : [findProgram(program)!]
    await namespace.run(file, [...own, ...args])
    const line = (): string | undefined =>
      readFileSync(path('log'), 'latin1')
        .slice(known)
        .split('\n')
        .find(entry => entry.includes(`${program}[`) && text.test(entry))
    for (let tries = 0; !line() && tries < 200; tries++) await new Promise(resolve => setTimeout(resolve, 50))
    const priority = Number(/^<(\d+)>/.exec(line() ?? '')?.[1])
    return [priority >> 3, priority & 7]
  }

  test('ssh -y and tssh -y', async () => {
    const args = ['-y', '-F', 'none', '-p', String(await freePort()), '127.0.0.1']
    for (const program of ['ssh', 'tssh']) {
      const refused = /connect to host 127\.0\.0\.1 port \d+: Connection refused/
      // user.err, local3.err
      expect(await logged(program, args, refused), program).toEqual([1, 3])
      expect(await logged(program, ['-o', 'SyslogFacility=LOCAL3', ...args], refused), program).toEqual([19, 3])
    }
  })

  test('sshd and tsshd', async () => {
    const lines = [`HostKey ${path('host_key')}`, 'UsePAM no', 'PidFile none']
    writeFileSync(path('usual'), `${lines.join('\n')}\n`)
    writeFileSync(path('other'), `${[...lines, 'SyslogFacility LOCAL5'].join('\n')}\n`)
    for (const program of ['sshd', 'tsshd']) {
      // auth, local5
      for (const [file, facility] of [
        ['usual', 4],
        ['other', 21],
      ] as const) {
        const found = await logged(program, ['-i', '-f', path(file)], /Connection closed by/)
        expect(found[0], `${program} ${file}`).toBe(facility)
      }
    }
  })
})
