import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { sshfpRecord } from '../../lib/keys/sshfp.ts'
import type { Zone, ZoneEntry } from '../support/dns-server.ts'
import type { Ran } from '../support/listening.ts'
import { bundleForNode, canMakeNamespace, type Namespace, openNamespace } from '../support/namespace.ts'
import { findProgram } from '../support/programs.ts'

/** Names and keys in the DNS, with OpenSSH's ssh beside ours in one network. */

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))
const hostKey = generateKey('ed25519')
const otherKey = generateKey('ed25519')
const recordOf = (key: typeof hostKey, kind: 'sha1' | 'sha256'): string => {
  const { algorithm, digestType, digest } = sshfpRecord(key.publicKey, kind)!
  return Buffer.concat([Buffer.from([algorithm, digestType]), digest]).toString('hex')
}
const good = recordOf(hostKey, 'sha256')
const goodSha1 = recordOf(hostKey, 'sha1')
const bad = recordOf(otherKey, 'sha256')

const records: Readonly<Record<string, ZoneEntry & { readonly data?: readonly string[] }>> = {
  secure: { data: [good], authentic: true },
  insecure: { data: [good] },
  sha1: { data: [goodSha1], authentic: true },
  both: { data: [goodSha1, good], authentic: true },
  wrong: { data: [bad], authentic: true },
  mixed: { data: [good, bad], authentic: true },
  'other-type': { data: [good.replace(/^04/, '01')], authentic: true },
  'unknown-digest': { data: [good.replace(/^..../, '0409')], authentic: true },
  short: { data: ['04'], authentic: true },
  cut: { data: [good], authentic: true, truncated: true },
  spoofed: { data: [good], authentic: true, before: ['number', 'question'] },
  failing: { code: 2 },
  refused: { code: 5 },
  empty: {},
}

const zone: Zone = {
  ...Object.fromEntries(
    Object.entries(records).flatMap(([name, { data = [], ...entry }]) => [
      [`${name}.test|1`, { records: [[`${name}.test`, 1, '7f000001']] }],
      [`${name}.test|44`, { ...entry, records: data.map(hex => [`${name}.test`, 44, hex]) }],
    ]),
  ),
  'nothing.test|1': { records: [['nothing.test', 1, '7f000001']] },
  'nothing.test|44': { code: 3 },
  ...Object.fromEntries(
    [1, 44].map(type => [
      `alias.test|${type}`,
      {
        records: [
          ['alias.test', 5, '@secure.test'],
          ['secure.test', type, type === 1 ? '7f000001' : good],
        ],
        authentic: true,
      },
    ]),
  ),
}

describe.runIf(canMakeNamespace)('VerifyHostKeyDNS', { timeout: 90_000 }, () => {
  let space: Namespace
  const path = (name: string): string => join(space.folder, name)

  beforeAll(async () => {
    space = await openNamespace(folder => {
      writeFileSync(join(folder, 'zone'), JSON.stringify(zone))
      return {
        argv: [process.execPath, bundleForNode('support/dns-server.ts', folder)],
        ready: 'ready',
        env: { TSSH_DNS_ZONE: join(folder, 'zone') },
      }
    })
    space.resolvConf('options trust-ad timeout:1 attempts:1')
    const userKey = generateKey('ed25519')
    writeFileSync(path('host_key'), formatOpensshV1(hostKey), { mode: 0o600 })
    writeFileSync(path('id'), formatOpensshV1(userKey), { mode: 0o600 })
    writeFileSync(path('authorized'), `${formatPublicKeyLine(userKey.publicKey)}\n`)
    writeFileSync(path('known'), `*.test ${formatPublicKeyLine(hostKey.publicKey)}\n`)
    writeFileSync(path('changed'), `*.test ${formatPublicKeyLine(otherKey.publicKey)}\n`)
    writeFileSync(path('none'), '')
    writeFileSync(path('askpass'), `#!/bin/sh\nprintf '%s' "$1" > ${path('question')}\necho no\n`)
    chmodSync(path('askpass'), 0o755)
    const lines = [
      'ListenAddress 127.0.0.1',
      `HostKey ${path('host_key')}`,
      `AuthorizedKeysFile ${path('authorized')}`,
      ...['StrictModes no', 'UsePAM no', 'PidFile none', 'PermitRootLogin yes', 'MaxStartups 100'],
    ]
    writeFileSync(path('sshd_config'), `${lines.join('\n')}\n`)
    mkdirSync('/run/sshd', { recursive: true })
    await space.start(findProgram('sshd')!, ['-D', '-e', '-f', path('sshd_config')], 'Server listening')
  })
  afterAll(() => space?.close())

  const clients = { ssh: ['ssh'], tssh: [process.execPath, tssh] } as const
  const connect = (
    client: keyof typeof clients,
    host: string,
    known: 'known' | 'changed' | 'none',
    ...options: string[]
  ): Promise<Ran> => {
    const [file, ...args] = clients[client]
    const all = [
      ...options,
      `UserKnownHostsFile=${path(known)}`,
      ...['StrictHostKeyChecking=yes', 'GlobalKnownHostsFile=/dev/null', 'IdentityAgent=none', 'WarnWeakCrypto=no'],
    ].filter(option => client === 'tssh' || !option.startsWith('WarnWeakCrypto'))
    return space.run(
      file!,
      [...args, '-F', 'none', '-v', '-i', path('id'), ...all.flatMap(o => ['-o', o]), host, 'true'],
      {
        env: { SSH_ASKPASS: path('askpass'), SSH_ASKPASS_REQUIRE: 'force' },
        timeout: 60_000,
      },
    )
  }
  /** What is said of the DNS and of the key, in order. */
  const told = ({ status, stderr }: Ran) => ({
    status,
    lines: stderr
      .split(/\r?\n/)
      .map(line => line.replace(/^debug1: /, ''))
      .filter(line => /DNS|SSHFP|WARNING|verification failed|Error (parsing|calculating)/.test(line))
      .map(line => line.replace(/^Warning: .*/, '')),
  })
  const both = async (...args: Parameters<typeof connect> extends [unknown, ...infer Rest] ? Rest : never) => {
    const [theirs, ours] = await Promise.all([connect('ssh', ...args), connect('tssh', ...args)])
    expect(told(ours), `${args.join(' ')}\n${ours.stderr}\n---\n${theirs.stderr}`).toEqual(told(theirs))
    return told(ours)
  }

  const accepted = ['secure', 'sha1', 'both', 'cut', 'spoofed', 'alias']

  test('yes, with nothing known: every sort of answer', async () => {
    const names = [...Object.keys(records), 'alias', 'nothing']
    const judge = bundleForNode('support/judge-by-dns.ts', space.folder)
    const input = JSON.stringify({
      key: formatPublicKeyLine(hostKey.publicKey),
      hosts: names.map(name => `${name}.test`),
    })
    const ours = JSON.parse((await space.run(process.execPath, [judge], { input })).stdout.toString()) as Ran[]
    const theirs = await Promise.all(names.map(name => connect('ssh', `${name}.test`, 'none', 'VerifyHostKeyDNS=yes')))
    for (const [index, name] of names.entries()) {
      expect(told(ours[index]!), name).toEqual(told(theirs[index]!))
      expect(theirs[index]!.status, name).toBe(accepted.includes(name) ? 0 : 255)
    }
  })

  test('a key that the DNS vouches for is taken whatever the files say, and nothing is written', async () => {
    expect((await both('secure.test', 'changed', 'VerifyHostKeyDNS=yes')).status).toBe(0)
    expect((await both('secure.test', 'changed', 'VerifyHostKeyDNS=ask')).status).toBe(255)
    expect(readFileSync(path('none'), 'utf8')).toBe('')
  })

  test('a known key stays good, with a warning where the DNS has another', async () => {
    const { status, lines } = await both('wrong.test', 'known', 'VerifyHostKeyDNS=yes')
    expect(status).toBe(0)
    expect(lines).toContain('Update the SSHFP RR in DNS with the new host key to get rid of this message.')
  })

  test('no, and a numeric host, ask nobody', async () => {
    expect(await both('127.0.0.1', 'none', 'VerifyHostKeyDNS=yes')).toEqual({
      status: 255,
      lines: ['skipped DNS lookup for numerical hostname', 'Host key verification failed.'],
    })
    expect((await connect('tssh', 'secure.test', 'none', 'VerifyHostKeyDNS=no')).stderr).not.toContain('DNS')
  })

  test('the question says whether the DNS has the fingerprint', async () => {
    for (const [host, line] of [
      ['secure.test', 'Matching host key fingerprint found in DNS.'],
      ['empty.test', 'No matching host key fingerprint found in DNS.'],
    ] as const) {
      for (const client of ['ssh', 'tssh'] as const) {
        rmSync(path('question'), { force: true })
        await connect(client, host, 'none', 'StrictHostKeyChecking=ask', 'VerifyHostKeyDNS=ask')
        expect(readFileSync(path('question'), 'utf8').split('\n'), `${client} ${host}`).toContain(line)
      }
    }
  })

  test('without trust-ad nothing is secure', async () => {
    space.resolvConf('options timeout:1 attempts:1')
    expect(await both('secure.test', 'none', 'VerifyHostKeyDNS=yes')).toMatchObject({ status: 255 })
    space.resolvConf('options trust-ad timeout:1 attempts:1')
  })
})
