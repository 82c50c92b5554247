import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { defaultAlgorithms } from '../../lib/algorithms/index.ts'
import { openClient } from '../../lib/client.ts'
import { KeyError } from '../../lib/errors.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { type CertificateRequest, flagOption, issueCertificate, textOption } from '../../lib/keys/certificate-issue.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { certifiedSigner, keySigner, type Signer } from '../../lib/keys/signer.ts'
import { joinStream } from '../../src/net/socket.ts'
import { matchAuthorizedKey } from '../../src/openssh/authorized-keys.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

/** sshd itself says, by its answers to queries, which lines authorise their key; each line has a key of its own. */

/** Which of these keys a server would let in: they are offered one after another, and none signs. */
async function takenBy(sshd: RunningSshd, signers: readonly Signer[]): Promise<Set<string>> {
  const taken = new Set<string>()
  const reluctant = signers.map(signer => ({
    ...signer,
    async sign(): Promise<Buffer> {
      taken.add(signer.comment)
      throw new KeyError('unsupported', 'only asking')
    },
  }))
  const socket = connect(sshd.port, '127.0.0.1')
  const link = joinStream(socket)
  const client = openClient({
    transport: { algorithms: defaultAlgorithms, softwareVersion: 'tssh_0', verifyHostKey() {} },
    credentials: { user: sshd.user, methods: ['publickey'], signers: () => reluctant },
    output: chunks => link.output(chunks),
  })
  link.attach(client)
  await expect(client.authentication).rejects.toThrow('Permission denied')
  socket.destroy()
  return taken
}

/** A small generator of our own, so that a failing line can be made again from its seed. */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return sides => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 8) % sides
  }
}

const flags = ['pty', 'user-rc', 'X11-forwarding', 'agent-forwarding', 'port-forwarding', 'touch-required']
const words = [
  ...flags,
  ...flags.map(flag => `no-${flag}`),
  'restrict',
  'RESTRICT',
  'no-restrict',
  'verify-required',
  'no-verify-required',
  'command="echo hi"',
  'command="a \\"b\\" c"',
  'command="back\\\\slash"',
  'command=""',
  'Command="x"',
  'command',
  'command=bare',
  'command="open',
  'command="x"y',
  'from="127.0.0.1"',
  'from="127.0.0.0/8"',
  'from="!10.0.0.1,*"',
  'from="!127.0.0.1,*"',
  'from="!127.0.0.1"',
  'from="10.0.0.0/8"',
  'from="127.0.0.1/8"',
  'from="127.0.0.0/33"',
  'from=""',
  'from="*,"',
  'from=",*"',
  'from="127.?.*.1"',
  'expiry-time="20301231"',
  'expiry-time="20301231Z"',
  'expiry-time="203012312359"',
  'expiry-time="20301231235959z"',
  'expiry-time="20301231UTC"',
  'expiry-time="20200101"',
  'expiry-time="20200101Z"',
  'expiry-time="20301301"',
  'expiry-time="20300231"',
  'expiry-time="20300200"',
  'expiry-time="2030 1 1"',
  'expiry-time="2030010124"',
  'expiry-time="203001012400"',
  'expiry-time="20300101235960"',
  'expiry-time=""',
  'environment="A=b"',
  'environment="A_1="',
  'environment="A"',
  'environment="=b"',
  'environment="A-B=c"',
  'environment="A=b",environment="A=c"',
  'permitopen="localhost:22"',
  'permitopen="localhost:*"',
  'permitopen="*:22"',
  'permitopen="[::1]:22"',
  'permitopen="::1:22"',
  'permitopen="localhost/22"',
  'permitopen="[::1:22"',
  'permitopen="[::1]22"',
  'permitopen=":22"',
  'permitopen="localhost"',
  'permitopen="localhost:"',
  'permitopen="localhost:0"',
  'permitopen="localhost:65536"',
  'permitopen="localhost:+22"',
  'permitopen="localhost: 22"',
  'permitopen="localhost:22 "',
  'permitlisten="8080"',
  'permitlisten="*"',
  'permitlisten="localhost:8080"',
  'permitlisten="0"',
  'permitlisten="x"',
  'tunnel="0"',
  'tunnel="any"',
  'tunnel="ANY"',
  'tunnel="-1"',
  'tunnel="0:1"',
  'tunnel="x"',
  'cert-authority',
  'no-cert-authority',
  'principals="root"',
  'principals="a","b"',
  'unknown-option',
  'ptyx',
  'pty=',
  '',
  '"',
  '\\',
  '#pty',
]

function options(roll: (sides: number) => number): string {
  const list = Array.from({ length: 1 + roll(3) }, () => words[roll(words.length)]!)
  const text = list.join([',', ',', ',', ', ', ' ,', ',,', '\t'][roll(7)])
  return [text, text, text, `${text},`, `,${text}`, text.replace(/"$/, '')][roll(6)]!
}

/** What may be wrong with the line around its options. */
function line(roll: (sides: number) => number, key: string, front: string): string {
  const [type = '', base64 = ''] = key.split(' ')
  switch (roll(16)) {
    case 0:
      return `  \t${front} ${key}`
    case 1:
      return `${front}\t${type}\t\t${base64}\t comment`
    case 2:
      return `${front} ${key}\r`
    case 3:
      return `${front} ssh-rsa ${base64}`
    case 4:
      return `${front} ${type} ${base64.slice(0, -4)}`
    case 5:
      return `${front} ${type} ${base64}=`
    case 6:
      return `${front} ${type}  ${base64}x`
    case 7:
      return `${key} ${front}`
    case 8:
      return `${front}  ${key}\0 rest`
    case 9:
      return `${type} ${front} ${key}`
    default:
      return `${front} ${key} comment`
  }
}

/** Lines for an authority, and certificates of it. */
const certified = [
  'cert-authority',
  'cert-authority,principals="alice"',
  'cert-authority,principals="bob,alice"',
  'cert-authority,principals="bob"',
  'cert-authority,principals=""',
  'cert-authority,principals=",alice"',
  'principals="alice"',
  'restrict,cert-authority,pty',
  'cert-authority,command="x"',
  'cert-authority,from="127.0.0.1"',
  'cert-authority,from="10.0.0.1"',
  '',
] as const

/** The whole vocabulary once, alone, then mixtures. */
function lines(seed: number, keys: readonly PrivateKey[]): string[] {
  const roll = dice(seed)
  return keys.map((key, index) => {
    const text = formatPublicKeyLine(key.publicKey)
    return index < words.length ? `${words[index]} ${text}` : line(roll, text, options(roll))
  })
}

describe.skipIf(!haveProgram('sshd') || !haveProgram('ssh-keygen'))('lines of authorized_keys', () => {
  let sshd: RunningSshd
  beforeAll(async () => {
    sshd = await startSshd(['MaxAuthTries 100000', 'LoginGraceTime 0'])
  })
  afterAll(() => sshd.close())

  const context = () => ({ user: sshd.user, address: '127.0.0.1', now: new Date() })

  it('authorise the keys that they authorise for sshd', { timeout: 120_000 }, async () => {
    const keys = Array.from({ length: words.length + 200 }, () => generateKey('ed25519'))
    const written = lines(20260615, keys)
    writeFileSync(join(sshd.folder, 'authorized_keys'), Buffer.from(written.join('\n'), 'latin1'))
    const theirs = await takenBy(
      sshd,
      keys.map((key, index) => keySigner(key, String(index))),
    )
    const text = written.join('\n')
    const differing = written.filter((_, index) => {
      const ours = matchAuthorizedKey(text, { publicKey: keys[index]!.publicKey }, context())
      return (ours !== undefined) !== theirs.has(String(index))
    })
    expect(differing).toEqual([])
    expect(theirs.size).toBeGreaterThan(words.length / 3)
    expect(written.length - theirs.size).toBeGreaterThan(words.length / 3)
  })

  it('authorise the certificates that they authorise for sshd', { timeout: 120_000 }, async () => {
    const now = BigInt(Math.floor(Date.now() / 1000))
    // Without an empty list of principals, which meant everybody until OpenSSH 10.3 and now means nobody.
    const requests: readonly Partial<CertificateRequest>[] = [
      { principals: [sshd.user] },
      { principals: ['alice'] },
      { principals: ['alice', sshd.user] },
      { principals: ['*'] },
      { principals: [`alice,${sshd.user}`] },
      { principals: [sshd.user], kind: 'host' },
      { principals: [sshd.user], validBefore: now - 10n },
      { principals: [sshd.user], validAfter: now + 3600n },
      { principals: [sshd.user], validBefore: now + 3600n },
      { principals: [sshd.user], criticalOptions: new Map([['force-command', textOption('x')]]) },
      { principals: [sshd.user], criticalOptions: new Map([['force-command', textOption('y')]]) },
      { principals: [sshd.user], criticalOptions: new Map([['force-command', Buffer.alloc(0)]]) },
      { principals: [sshd.user], criticalOptions: new Map([['source-address', textOption('127.0.0.0/8')]]) },
      { principals: [sshd.user], criticalOptions: new Map([['source-address', textOption('10.0.0.0/8')]]) },
      { principals: [sshd.user], criticalOptions: new Map([['source-address', textOption('')]]) },
      { principals: [sshd.user], criticalOptions: new Map([['source-address', textOption('!10.0.0.1')]]) },
      { principals: [sshd.user], criticalOptions: new Map([['verify-required', flagOption]]) },
      { principals: [sshd.user], criticalOptions: new Map([['unheard-of', flagOption]]) },
      { principals: [sshd.user], extensions: new Map([['unheard-of', flagOption]]) },
      { principals: [sshd.user], extensions: new Map([['permit-pty', textOption('no flag')]]) },
    ]
    const cases: { line: string; signer: Signer; certificate: Certificate; name: string }[] = []
    for (const front of certified) {
      const ca = generateKey('ed25519')
      for (const [index, request] of requests.entries()) {
        const key = generateKey('ed25519')
        const certificate = await issueCertificate(
          { kind: 'user', keyId: 'id', principals: [], publicKey: key.publicKey, ...request },
          keySigner(ca),
        )
        const name = `${front} with certificate ${index}`
        const line = `${front} ${formatPublicKeyLine(ca.publicKey)}`
        cases.push({ line, signer: certifiedSigner(keySigner(key, name), certificate), certificate, name })
      }
    }
    const text = [...new Set(cases.map(({ line }) => line))].join('\n')
    writeFileSync(join(sshd.folder, 'authorized_keys'), text)
    const theirs = await takenBy(
      sshd,
      cases.map(({ signer }) => signer),
    )
    const differing = cases.filter(({ certificate, name }) => {
      const shown = { publicKey: certificate.publicKey, certificate }
      return (matchAuthorizedKey(text, shown, context()) !== undefined) !== theirs.has(name)
    })
    expect(differing.map(({ name }) => name)).toEqual([])
    expect(theirs.size).toBeGreaterThan(20)
  })
})
