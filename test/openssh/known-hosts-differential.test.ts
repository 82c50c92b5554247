import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HostKeyError } from '../../lib/errors.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine, type PublicKey, parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import { hostKeyVerifier } from '../../src/hostkeys/verifier.ts'
import { hashKnownHosts, hostName, knownHostLine, lookUpHost, removeHost } from '../../src/openssh/known-hosts.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

/** The same numbers every time (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const own = [generateKey('ed25519'), generateKey('ed25519'), generateKey('ecdsa', 256), generateKey('ecdsa', 384)].map(
  ({ publicKey }) => publicKey,
)
const hosts = ['one', 'two.example.org', 'TWO.example.org', '192.0.2.1', '2001:db8::1', 'one.two', 'on']

interface Line {
  readonly text: string
  /** Whether its key is whole: ssh-keygen -F does not ask, ssh and we do. */
  readonly whole: boolean
}

/** A line of known_hosts, good or bad, out of pieces that matter to its reader. */
function line(pick: (below: number) => number, keys: readonly PublicKey[] = own): Line {
  const of = <T>(list: readonly T[]): T => list[pick(list.length)]!
  const name = (): string =>
    of([
      () => of(hosts),
      () => of(hosts),
      () => `[${of(hosts)}]:${of([22, 2222])}`,
      () => `!${of(hosts)}`,
      () => of(['*', 'o*', '*.example.org', '?ne', '192.0.2.*', '[one]:*', '[*]:2222']),
    ])()
  const list = (): string => Array.from({ length: 1 + pick(3) }, name).join(of([',', ',', ',,']))
  const key = of(keys)
  const shown = formatPublicKeyLine(key)
  const hashed = (): string => knownHostLine(of(hosts), of([22, 2222]), key, true)
  const blank = (): string => of([' ', ' ', '\t', '  '])
  const broken = (text: string): Line => ({ text, whole: false })
  const whole = (text: string): Line => ({ text, whole: true })
  return of([
    () => whole(`${list()}${blank()}${shown}`),
    () => whole(`${list()}${blank()}${shown}`),
    () => whole(`${list()} ${shown} a comment`),
    () => whole(`${of(['@revoked', '@cert-authority', '@other', '@revoked @cert-authority'])} ${list()} ${shown}`),
    () => whole(hashed()),
    () => whole(hashed()),
    () => whole(hashed().replace('|1|', of(['|2|', '|', '|1', '|1||']))),
    () => whole(hashed().replace(/=/, of(['', '==', 'A']))),
    () => whole(`${of([' ', '\t', ''])}${of(['#', ';', ''])}${list()} ${shown}`),
    () => broken(`${list()} ${shown.slice(0, 5 + pick(60))}`),
    () => broken(`${list()} ${shown.replace(/ssh-ed25519|ecdsa-sha2-\S+/, of(['ssh-rsa', 'unknown-type', '']))}`),
    () => broken(`${list()} 1024 65537 123456789`),
    () => broken(list()),
    () => broken(''),
    () => whole(`${list()} ${shown}\r`),
  ])()
}

describe.skipIf(!haveProgram('ssh-keygen'))('generated files of known hosts', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-differential-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const find = (text: string, name: string): number[] => {
    const file = join(folder, 'known_hosts')
    writeFileSync(file, text)
    const { stdout } = spawnSync('ssh-keygen', ['-F', name, '-f', file], { encoding: 'utf8' })
    return [...stdout.matchAll(/^# Host .* found: line (\d+)/gm)].map(match => Number(match[1]))
  }

  test.each(Array.from({ length: 40 }, (_, seed) => [seed]))('file %d: ssh-keygen -F finds the same lines', seed => {
    const pick = random(seed)
    const lines = Array.from({ length: 30 }, () => line(pick))
    const text = lines.map(entry => `${entry.text}\n`).join('')
    const numbered = lines.map((entry, i) => `${i + 1}: ${entry.text}`).join('\n')
    for (const [host, port] of [
      [hosts[pick(hosts.length)]!, 22],
      [hosts[pick(hosts.length)]!, 2222],
    ] as const) {
      const ours = [...lookUpHost(text, host, port)].map(entry => entry.line)
      const theirs = find(text, hostName(host, port)).filter(number => lines[number - 1]!.whole)
      expect(ours, `${hostName(host, port)} in\n${numbered}`).toEqual(theirs)
    }
  })

  test('any edit leaves all other lines as they were, byte for byte', () => {
    for (let seed = 100; seed < 130; seed++) {
      const pick = random(seed)
      const lines = Array.from({ length: 20 }, () => line(pick).text)
      const text = `${lines.join('\n')}\n`
      const removed = removeHost(text, 'one', 22)
      expect(removed.text.split('\n').slice(0, -1)).toEqual(lines.filter((_, i) => !removed.lines.includes(i + 1)))
      const hashed = hashKnownHosts(text)
      const kept = lines.filter((_, i) => !hashed.lines.includes(i + 1))
      const after = hashed.text.split('\n')
      expect(kept.every(shown => after.includes(shown))).toBe(true)
    }
  })
})

describe.skipIf(!haveProgram('sshd') || !haveProgram('ssh'))('a host key is judged as ssh judges it', () => {
  let peer: RunningSshd
  let shown: PublicKey
  beforeAll(async () => {
    peer = await startSshd()
    shown = parsePublicKeyLine(readFileSync(join(peer.folder, 'host_ed25519.pub'), 'utf8')).key
  })
  afterAll(() => peer.close())

  /** A verdict, with the line of the file that made it. */
  const verdictOf = (output: string): string => {
    if (output.includes('REVOKED HOST KEY')) return 'revoked'
    const found = /Found key in \S+:(\d+)/.exec(output)
    if (found) return `known by line ${found[1]}`
    const offending = /Offending \S+ key in \S+:(\d+)/.exec(output)
    return offending ? `changed from line ${offending[1]}` : 'unknown'
  }

  const ofSsh = (file: string, alias: string): string => {
    const options = [
      ...['StrictHostKeyChecking=yes', 'BatchMode=yes', `UserKnownHostsFile=${file}`, 'GlobalKnownHostsFile=/dev/null'],
      ...[
        'HostKeyAlgorithms=ssh-ed25519',
        `HostKeyAlias=${alias}`,
        'PreferredAuthentications=none',
        'UpdateHostKeys=no',
      ],
    ].flatMap(option => ['-o', option])
    const args = ['-v', '-F', 'none', '-p', String(peer.port), ...options, '127.0.0.1', 'true']
    return verdictOf(spawnSync('ssh', args, { encoding: 'utf8' }).stderr)
  }

  const ofOurs = async (file: string, alias: string): Promise<string> => {
    const said: string[] = []
    const say = (text: string): void => void said.push(text)
    const verify = hostKeyVerifier({
      host: '127.0.0.1',
      port: peer.port,
      address: '127.0.0.1',
      hostKeyAlias: alias,
      strictHostKeyChecking: 'yes',
      userKnownHostsFiles: [file],
      globalKnownHostsFiles: [],
      hashKnownHosts: false,
      ask: async () => undefined,
      print: say,
      log: { error: say, info: say, debug1: say },
    })
    try {
      await verify({ publicKey: shown, algorithm: shown.type })
    } catch (error) {
      if (!(error instanceof HostKeyError)) throw error
    }
    return verdictOf(said.join('\n'))
  }

  test.each(Array.from({ length: 20 }, (_, seed) => [seed]))('file %d', async seed => {
    const pick = random(1000 + seed)
    const file = join(peer.folder, 'generated')
    const keys = [shown, shown, ...own]
    const text = Array.from({ length: 1 + pick(6) }, () => `${line(pick, keys).text}\n`).join('')
    writeFileSync(file, text)
    for (const alias of [hosts[pick(4)]!, 'one']) {
      expect(await ofOurs(file, alias), `${alias} in\n${text}`).toBe(ofSsh(file, alias))
    }
  })
})
