import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'
import { type RunningTsshd, startTsshd } from '../support/tsshd.ts'

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))
const ours = { program: process.execPath, first: [tssh] }
const theirs = { program: 'ssh', first: [] }

/** After 16 MiB of a direction another implementation of the cipher takes over, on each side of ours. */
const input = randomBytes(36 * 1024 * 1024)

const suites = [
  ['aes128-gcm@openssh.com', 'hmac-sha2-256'],
  ['chacha20-poly1305@openssh.com', 'hmac-sha2-256'],
  ['aes128-ctr', 'umac-64-etm@openssh.com'],
  ['aes256-ctr', 'hmac-sha2-256-etm@openssh.com'],
  ['aes128-ctr', 'hmac-sha2-512'],
] as const

describe.skipIf(!haveProgram('sshd') || !haveProgram('ssh'))('much data both ways, intact', () => {
  let sshd: RunningSshd
  let tsshd: RunningTsshd
  beforeAll(async () => {
    ;[sshd, tsshd] = await Promise.all([startSshd(), startTsshd()])
  })
  afterAll(async () => {
    sshd.close()
    await tsshd.close()
  })

  const toSshd = (...more: string[]): string[] => [
    ...['-F', 'none', '-p', String(sshd.port), '-l', sshd.user, '-i', sshd.identity],
    ...[`UserKnownHostsFile=${sshd.knownHosts}`, 'GlobalKnownHostsFile=none', 'IdentityAgent=none'].flatMap(o => [
      '-o',
      o,
    ]),
    ...more,
    '127.0.0.1',
  ]

  async function echoes(client: typeof ours | typeof theirs, args: readonly string[]): Promise<void> {
    const ran = await runProgram(client.program, [...client.first, ...args, 'cat'], { input })
    expect(ran).toMatchObject({ status: 0, stderr: '' })
    expect(ran.stdout.equals(input)).toBe(true)
  }

  test.each(suites)('%s %s', { timeout: 120_000 }, async (cipher, mac) => {
    const flags = ['-c', cipher, '-m', mac]
    await echoes(ours, toSshd(...flags))
    await echoes(theirs, tsshd.sshArgs(...flags))
    // New keys amid it begin with what is slow, for a while, and then change over again.
    await echoes(ours, tsshd.sshArgs(...flags, '-o', 'RekeyLimit=20M'))
  })
})
