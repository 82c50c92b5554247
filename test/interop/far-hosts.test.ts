import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startFarProxy } from '../support/far-proxy.ts'
import { runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { startSshd } from '../support/sshd.ts'

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))
const mib = 1024 * 1024

test.skipIf(!haveProgram('sshd'))(
  'the window grows on a long path, though something near answered the connect',
  { timeout: 60_000 },
  async () => {
    const sshd = await startSshd()
    const proxy = await startFarProxy(sshd.port, 40)
    try {
      const options = [`UserKnownHostsFile=${sshd.knownHosts}`, 'GlobalKnownHostsFile=none', 'IdentityAgent=none']
      const args = [
        ...[tssh, '-vvv', '-F', 'none', '-p', String(proxy.port), '-l', sshd.user, '-i', sshd.identity],
        ...[...options, 'StrictHostKeyChecking=no'].flatMap(option => ['-o', option]),
        ...['127.0.0.1', `head -c ${96 * mib} /dev/zero`],
      ]
      // Nobody is slow to read it: then a window does not grow, as it should not.
      const { status, stderr } = await runProgram('sh', [
        '-c',
        'exec "$@" > /dev/null',
        'sh',
        process.execPath,
        ...args,
      ])
      expect(status).toBe(0)
      const grants = [...stderr.matchAll(/CHANNEL_WINDOW_ADJUST recipientChannel=0 bytes=(\d+)/g)]
      // A window that grows is doubled by one grant; OpenSSH's first one is 2 MiB, as ours.
      expect(Math.max(...grants.map(([, bytes]) => Number(bytes)))).toBeGreaterThan(2 * mib)
    } finally {
      proxy.close()
      sshd.close()
    }
  },
)
