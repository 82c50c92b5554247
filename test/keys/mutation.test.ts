import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { KeyError } from '../../lib/errors.ts'
import { parseKeyOrCertificate, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import { defaultUserExtensions, issueCertificate, textOption } from '../../lib/keys/certificate-issue.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { formatPrivatePem, formatPublicPemKey, parsePublicPemKey } from '../../lib/keys/formats/pem.ts'
import { formatPpk } from '../../lib/keys/formats/ppk.ts'
import { parsePrivateKey, publicPartOf } from '../../lib/keys/formats/private-file.ts'
import { formatRfc4716, parseRfc4716 } from '../../lib/keys/formats/rfc4716.ts'
import { generateKey, PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { haveProgram } from '../support/programs.ts'
import { securityKeyNumbers } from '../support/security-key.ts'

/** Files that somebody damaged or forged: what comes of them is a key or a KeyError. */

const mutations = 10_000
/** How far the process may grow over all of them, in KiB: the largest input is a few of these. */
const growthLimit = 300 * 1024

/** Marsaglia's xorshift: the same mutations in every run. */
function dice(seed: number): (limit: number) => number {
  let state = seed
  return limit => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

interface Seed {
  readonly name: string
  readonly bytes: Buffer
  readonly read: (input: Buffer) => unknown
  /** Of armoured files, what stands in base64 is mutated by turns with the text. */
  readonly armour?: RegExp
}

const pem = /(-----BEGIN [^\n]+\n)([^-]+)(-----END)/
const ssh2 = /(Comment: [^\n]+\n)([^-]+)(---- END)/

async function seeds(): Promise<Seed[]> {
  const keys = [
    generateKey('ed25519', undefined, 'comment'),
    generateKey('ecdsa', 256),
    generateKey('rsa', 1024),
    generateKey('dsa'),
    generateKey('ed448'),
    generateKey('ecdsa-secp256k1'),
    generateKey('mldsa44-ed25519'),
    new PrivateKey(securityKeyNumbers()),
  ]
  const list: Seed[] = []
  const text = (name: string, contents: string, read: Seed['read'], armour?: RegExp): void => {
    list.push({ name, bytes: Buffer.from(contents, 'latin1'), read, ...(armour && { armour }) })
  }
  const authority = keySigner(keys[0]!)
  for (const key of keys) {
    const { publicKey } = key
    const name = publicKey.type
    text(`${name} OpenSSH`, formatOpensshV1(key), input => parsePrivateKey(input), pem)
    text(`${name} OpenSSH, public half`, formatOpensshV1(key, { passphrase: 'x', rounds: 1 }), publicPartOf, pem)
    list.push({ name: `${name} blob`, bytes: publicKey.blob, read: parseKeyOrCertificate })
    text(`${name} line`, formatPublicKeyLine(publicKey, 'c'), input => parseKeyOrCertificateLine(input.toString()))
    text(
      `${name} RFC 4716`,
      formatRfc4716(publicKey.blob, { comment: 'c' }),
      input => parseRfc4716(input.toString()),
      ssh2,
    )
    const certificate = await issueCertificate(
      {
        publicKey,
        kind: 'user',
        keyId: 'id',
        principals: ['a', 'b'],
        extensions: defaultUserExtensions,
        criticalOptions: new Map([['force-command', textOption('x')]]),
      },
      authority,
    )
    list.push({ name: `${name} certificate`, bytes: certificate.blob, read: parseKeyOrCertificate })
    if (name.includes('@')) continue
    text(`${name} PKCS#8`, formatPrivatePem(key, 'pkcs8'), input => parsePrivateKey(input), pem)
    text(`${name} SPKI`, formatPublicPemKey(publicKey, 'pkcs8'), input => parsePublicPemKey(input.toString()), pem)
    if (name.startsWith('ecdsa-sha2-1.3')) continue
    text(`${name} PPK`, formatPpk(key), input => parsePrivateKey(input))
    const sealed = formatPpk(key, { version: 2, passphrase: 'x' })
    text(`${name} PPK 2`, sealed, input => parsePrivateKey(input, 'x'))
  }
  const [ed25519, , rsa] = keys
  // Without the passphrase too: its MAC hides all else, and what Argon2 may cost has a test of its own.
  text('PPK 3, encrypted', formatPpk(ed25519!, { passphrase: 'x' }), input => parsePrivateKey(input))
  const encrypted = formatPrivatePem(rsa!, 'traditional', 'secret')
  text('PKCS#1, encrypted', encrypted, input => parsePrivateKey(input, 'secret'))
  const opensshEncrypted = formatOpensshV1(ed25519!, { passphrase: 'x', rounds: 1 })
  // Without the passphrase: with one the rounds may be many, and within their bound that is no fault.
  text('OpenSSH, encrypted', opensshEncrypted, input => parsePrivateKey(input), pem)
  if (haveProgram('puttygen')) text('ssh.com', sshCom(formatPpk(rsa!)), input => parsePrivateKey(input), ssh2)
  return list
}

function sshCom(ppk: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-mutation-'))
  try {
    writeFileSync(join(folder, 'key.ppk'), ppk)
    writeFileSync(join(folder, 'none'), '\n')
    const output = join(folder, 'key')
    const to = ['--new-passphrase', join(folder, 'none'), '-O', 'private-sshcom', '-o', output]
    execFileSync('puttygen', [join(folder, 'key.ppk'), ...to])
    return readFileSync(output, 'latin1')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const sizes = [0, 1, 0x7f, 0xff, 0x7fffffff, 0x80000000, 0xffffffff]

function mutate(input: Buffer, roll: (limit: number) => number): Buffer {
  const output = Buffer.from(input)
  const at = roll(output.length)
  switch (roll(6)) {
    case 0:
      output[at]! ^= 1 << roll(8)
      return output
    case 1:
      output[at] = roll(256)
      return output
    case 2:
      return output.subarray(0, at)
    case 3:
      return Buffer.concat([output.subarray(0, at), output.subarray(roll(output.length))])
    case 4:
      if (output.length >= 4) output.writeUInt32BE(sizes[roll(sizes.length)]!, Math.min(at, output.length - 4))
      return output
    default: {
      const noise = Buffer.from(Array.from({ length: roll(64) }, () => roll(256)))
      return Buffer.concat([output.subarray(0, at), noise, output.subarray(at)])
    }
  }
}

function damaged({ bytes, armour }: Seed, roll: (limit: number) => number): Buffer {
  const parts = armour?.exec(bytes.toString('latin1'))
  if (!parts || roll(3) === 0) return mutate(bytes, roll)
  const body = mutate(Buffer.from(parts[2]!, 'base64'), roll)
  const lines = body.toString('base64').match(/.{1,64}/g) ?? []
  return Buffer.from(
    `${parts[1]}${lines.join('\n')}\n${bytes.toString('latin1', parts.index + parts[0].length - parts[3]!.length)}`,
  )
}

test(`${mutations} damaged keys and certificates`, { timeout: 120_000 }, async () => {
  const list = await seeds()
  for (const { name, bytes, read } of list) expect(() => read(bytes), name).not.toThrow(/^(?!.*passphrase)/)
  const roll = dice(0x5eed)
  const before = process.resourceUsage().maxRSS
  let refused = 0
  for (let i = 0; i < mutations; i++) {
    const seed = list[i % list.length]!
    const input = damaged(seed, roll)
    try {
      seed.read(input)
    } catch (error) {
      if (!(error instanceof KeyError)) throw new Error(`${seed.name}: ${input.toString('base64')}`, { cause: error })
      refused++
    }
  }
  expect(refused).toBeGreaterThan(mutations / 2)
  expect(process.resourceUsage().maxRSS - before).toBeLessThan(growthLimit)
})
