import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { sshfpRecord } from '../../lib/keys/sshfp.ts'
import type { Ran } from '../support/listening.ts'
import { bundleForNode, canMakeNamespace, type Namespace, openNamespace } from '../support/namespace.ts'
import { findProgram, haveProgram } from '../support/programs.ts'

/** CanonicalizeHostname and its kin with a real name server, beside `ssh -G` in the same network. */

const names = [
  '--host-record=web.example.test,127.0.0.1',
  '--host-record=db.inner.test,127.0.0.2',
  '--host-record=six.example.test,::1',
  '--host-record=bare.search.test,127.0.0.3',
  '--host-record=a.b.example.test,127.0.0.4',
  '--host-record=node.cdn.test,127.0.0.5',
  '--cname=www.example.test,web.example.test',
  '--cname=first.example.test,second.example.test',
  '--cname=second.example.test,node.cdn.test',
  '--cname=short.search.test,node.cdn.test',
  '--cname=Mixed.Example.test,web.example.test',
]

const hostKey = generateKey('ed25519').publicKey
const sshfp = (fill: number): string => {
  const { algorithm, digestType, digest } = sshfpRecord(hostKey, 'sha256')!
  return Buffer.concat([Buffer.from([algorithm, digestType]), Buffer.alloc(fill), digest.subarray(fill)]).toString(
    'hex',
  )
}
const fingerprints = [
  `--dns-rr=web.example.test,44,${sshfp(0)}`,
  // More than one packet of UDP takes.
  ...Array.from({ length: 32 }, (_, fill) => `--dns-rr=many.example.test,44,${sshfp(fill)}`),
]

const hosts = [
  'web',
  'WWW',
  'www.example.test',
  'www.example.test.',
  'first',
  'short',
  'bare',
  'a.b',
  'a.b.c',
  'six',
  'db',
].concat(['nowhere', 'listed', 'other', 'mixed', '127.1', '1.2.3.4.5', '::1', 'gone.example.test.'])

const settings = {
  CanonicalizeHostname: ['no', 'yes', 'yes', 'always'],
  CanonicalDomains: [
    'example.test',
    'search.test example.test',
    'inner.test Example.Test',
    'none',
    'absent.test example.test',
  ],
  CanonicalizeMaxDots: [undefined, '0', '2'],
  CanonicalizeFallbackLocal: [undefined, 'no'],
  CanonicalizePermittedCNAMEs: [
    undefined,
    '*:*',
    '*.example.test:*.cdn.test,web.*',
    'none',
    '*.search.test,short:*.cdn.test',
  ],
  ProxyCommand: [undefined, undefined, 'none', 'nc %h %p'],
  AddressFamily: [undefined, undefined, 'inet', 'inet6'],
  HostName: [undefined, undefined, undefined, '%h.example.test'],
} as const

const canonical = (line: string): boolean => /^Canonicalized|^ignoring bad/.test(line)

/** A repeatable choice (xorshift). */
function chooser(seed: number): <T>(list: readonly T[]) => T {
  let state = seed
  return list => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return list[(state >>> 0) % list.length]!
  }
}

const tail = `
Host *.example.test
  User qualified
Match canonical host *.cdn.test
  User cdn
Match canonical all
  Port 2022
Match final host web.example.test
  Compression yes
Match originalhost www
  ServerAliveInterval 7
`

const shown = [
  'host',
  'hostname',
  'user',
  'port',
  'compression',
  'serveraliveinterval',
  'proxycommand',
  'addressfamily',
]
  .concat(['canonicalizehostname', 'canonicaldomains', 'canonicalizemaxdots', 'canonicalizefallbacklocal'])
  .concat(['canonicalizepermittedcnames'])
const rows = (text: string): string[] =>
  text.split('\n').filter(line => shown.includes(line.split(' ')[0]!.toLowerCase()))

describe.runIf(canMakeNamespace && haveProgram('dnsmasq'))('canonical host names', () => {
  let space: Namespace
  beforeAll(async () => {
    space = await openNamespace(
      folder => ({
        argv: [
          findProgram('dnsmasq')!,
          ...['--keep-in-foreground', '--log-facility=-', '--conf-file=/dev/null', '--no-resolv', '--no-hosts'],
          ...['--user=root', '--listen-address=127.0.0.1', '--bind-interfaces', `--pid-file=${join(folder, 'pid')}`],
          '--local=/#/',
          ...names,
          ...fingerprints,
        ],
        ready: 'started',
      }),
      ['192.0.2.9 real.listed.test listed', '192.0.2.10 other other.example.test'],
    )
    space.resolvConf('search search.test', 'options timeout:1 attempts:1')
  })
  afterAll(() => space?.close())

  test('are those of ssh -G, in generated configurations', async () => {
    const choose = chooser(20_261_128)
    const cases = Array.from({ length: 160 }, (_, index) => {
      const lines = Object.entries(settings).flatMap(([keyword, values]) => {
        const value = choose<string | undefined>(values)
        return value === undefined ? [] : [`${keyword} ${value}`]
      })
      const file = join(space.folder, `config-${index}`)
      const text = `${lines.join('\n')}\n${tail}`
      writeFileSync(file, text)
      return { file, host: choose(hosts), text: lines.join('\n') }
    })
    const program = bundleForNode('support/resolve-configs.ts', space.folder)
    const ran = await space.run(process.execPath, [program], { input: JSON.stringify(cases) })
    expect(ran.stderr).toBe('')
    const ours = JSON.parse(ran.stdout.toString()) as { text?: string; refusal?: string; log: string[] }[]
    const theirs: Ran[] = []
    for (let at = 0; at < cases.length; at += 8)
      theirs.push(
        ...(await Promise.all(
          cases.slice(at, at + 8).map(({ file, host }) => space.run('ssh', ['-v', '-G', '-F', file, host])),
        )),
      )
    const results = cases.map(({ host, text }, index) => {
      const { status, stdout, stderr } = theirs[index]!
      const told = stderr.split(/\r?\n/).map(line => line.replace(/^debug1: /, ''))
      const { refusal, text: printed = '', log } = ours[index]!
      const sentence = refusal === undefined || refusal.startsWith('ssh: ') ? refusal : `ssh: ${refusal}`
      return {
        case: `host ${host}\n${text}`,
        refused: status !== 0,
        canonical: told.some(canonical),
        theirs:
          status === 0
            ? [...rows(stdout.toString()), ...told.filter(canonical)]
            : [...new Set(told.filter(line => line === sentence))],
        ours: sentence === undefined ? [...rows(printed), ...log.filter(canonical)] : [sentence],
      }
    })
    const wrong = results.filter(result => result.ours.join('\n') !== result.theirs.join('\n'))
    expect(wrong).toEqual([])
    // So that the comparison is about something.
    expect(results.filter(result => result.canonical).length).toBeGreaterThan(15)
    expect(results.filter(result => result.refused).length).toBeGreaterThan(5)
  }, 60_000)

  test('SSHFP records, over TCP where they are many', async () => {
    const input = JSON.stringify({
      key: formatPublicKeyLine(hostKey),
      hosts: ['web.example.test', 'www.example.test', 'many.example.test', 'six.example.test', 'nowhere.example.test'],
    })
    const judge = bundleForNode('support/judge-by-dns.ts', space.folder)
    const judged = JSON.parse((await space.run(process.execPath, [judge], { input })).stdout.toString()) as Ran[]
    const last = (text: string): string | undefined =>
      text.split('\n').findLast(line => /fingerprint found|DNS lookup/.test(line))
    expect(judged.map(({ stderr }) => last(stderr))).toEqual([
      'matching host key fingerprint found in DNS',
      'matching host key fingerprint found in DNS',
      'mismatching host key fingerprint found in DNS',
      'DNS lookup error: data does not exist',
      'DNS lookup error: name does not exist',
    ])
    expect(judged[2]!.stderr).toContain('found 32 insecure fingerprints in DNS')
  })
})
