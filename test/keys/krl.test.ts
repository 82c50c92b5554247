import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hash } from '../../lib/crypto/hash.ts'
import { KeyError } from '../../lib/errors.ts'
import { type Certificate, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import { issueCertificate } from '../../lib/keys/certificate-issue.ts'
import { isRevoked, Krl } from '../../lib/keys/krl.ts'
import { formatKrl, isKrl, parseKrl, signKrl } from '../../lib/keys/krl-format.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { SerialSet } from '../../lib/keys/serial-set.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { encode } from '../../lib/wire/writer.ts'
import { haveProgram } from '../support/programs.ts'

const mib = 1024 * 1024
/** A small generator with a seed, so that a failing case can be had again. */
function seeded(seed: number): (limit: number) => number {
  let state = seed >>> 0
  return limit => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

const certify = (key: PrivateKey, authority: PrivateKey, serial: bigint, keyId: string): Promise<Certificate> =>
  issueCertificate({ publicKey: key.publicKey, kind: 'user', keyId, principals: ['u'], serial }, keySigner(authority))

describe('serial numbers', () => {
  test('ranges that touch or overlap become one, in whatever order they come', () => {
    const dice = seeded(1)
    for (let round = 0; round < 50; round++) {
      const set = new SerialSet()
      const plain = new Set<number>()
      for (let i = 0; i < 40; i++) {
        const first = 1 + dice(200)
        const last = first + dice(6)
        set.add(BigInt(first), BigInt(last))
        for (let n = first; n <= last; n++) plain.add(n)
      }
      for (let n = 1; n < 220; n++) expect(set.has(BigInt(n)), `${round} ${n}`).toBe(plain.has(n))
      const ranges = [...set.ranges()]
      for (const [i, range] of ranges.entries()) if (i > 0) expect(range.first > ranges[i - 1]!.last + 1n).toBe(true)
      expect(ranges.reduce((sum, { first, last }) => sum + Number(last - first) + 1, 0)).toBe(plain.size)
    }
  })

  test('the last serial number there is', () => {
    const set = new SerialSet()
    const top = 0xffff_ffff_ffff_ffffn
    set.add(top)
    set.add(5n, top)
    set.add(top - 1n)
    expect([...set.ranges()]).toEqual([{ first: 5n, last: top }])
  })

  test('0 and empty ranges are refused', () => {
    expect(() => new SerialSet().add(0n)).toThrow(KeyError)
    expect(() => new SerialSet().add(5n, 4n)).toThrow(KeyError)
  })
})

describe('lists', () => {
  const [authority, other, key] = [generateKey('ed25519'), generateKey('ed25519'), generateKey('ecdsa')]

  test('each way to revoke, before and after a file', async () => {
    const krl = new Krl()
    krl.version = 7n
    krl.generated = 1_700_000_000n
    krl.comment = 'why not'
    const keys = Array.from({ length: 4 }, () => generateKey('ed25519'))
    krl.revoke(keys[0]!.publicKey)
    krl.revokeDigest('sha1', hash('sha1', keys[1]!.publicKey.blob))
    krl.revokeDigest('sha256', hash('sha256', keys[2]!.publicKey.blob))
    krl.revokeSerials(authority.publicKey, 10n, 20n)
    krl.revokeSerials(undefined, 99n)
    krl.revokeKeyId(authority.publicKey, 'bad é')
    for (const list of [krl, parseKrl(formatKrl(krl))]) {
      expect([list.version, list.generated, list.comment]).toEqual([7n, 1_700_000_000n, 'why not'])
      expect(keys.map(({ publicKey }) => isRevoked(list, publicKey))).toEqual([true, true, true, false])
      const verdict = async (who: PrivateKey, serial: bigint, id: string, whose = key): Promise<boolean> =>
        isRevoked(list, await certify(whose, who, serial, id))
      expect(await verdict(authority, 9n, 'x')).toBe(false)
      expect(await verdict(authority, 10n, 'x')).toBe(true)
      expect(await verdict(authority, 20n, 'x')).toBe(true)
      expect(await verdict(authority, 21n, 'x')).toBe(false)
      expect(await verdict(other, 15n, 'x')).toBe(false)
      expect(await verdict(other, 99n, 'x')).toBe(true)
      expect(await verdict(authority, 0n, 'bad é')).toBe(true)
      expect(await verdict(other, 0n, 'bad é')).toBe(false)
      expect(await verdict(other, 0n, 'x', keys[0])).toBe(true)
      expect(await verdict(keys[2]!, 1n, 'x'), 'a revoked authority').toBe(true)
    }
  })

  test('a certificate is revoked by serial number, or by key ID when it has none', async () => {
    const [numbered, named] = [await certify(key, authority, 4n, 'a'), await certify(key, authority, 0n, 'b')]
    const krl = new Krl()
    krl.revoke(numbered)
    krl.revoke(named)
    const [entry] = krl.certificates
    expect([...entry!.serials.ranges()]).toEqual([{ first: 4n, last: 4n }])
    expect([...entry!.keyIds]).toEqual(['b'])
    expect(isRevoked(krl, key.publicKey)).toBe(false)
  })

  test('sets of serial numbers of any shape come back as they were, in few bytes', () => {
    const dice = seeded(2)
    for (const spread of [3, 40, 500, 100_000]) {
      const krl = new Krl()
      for (let i = 0, at = 1; i < 400; i++) {
        at += 1 + dice(spread)
        const last = at + (dice(3) === 0 ? dice(spread) : 0)
        krl.revokeSerials(undefined, BigInt(at), BigInt(last))
        at = last + 1
      }
      const file = formatKrl(krl)
      const ranges = [...krl.certificates[0]!.serials.ranges()]
      expect([...parseKrl(file).certificates[0]!.serials.ranges()]).toEqual(ranges)
      expect(file.length).toBeLessThan(100 + 22 * ranges.length)
    }
  })

  test('a signature must verify and be last', async () => {
    const krl = new Krl()
    krl.revokeKeyId(undefined, 'x')
    const plain = formatKrl(krl)
    const signed = await signKrl(await signKrl(plain, keySigner(authority)), keySigner(other))
    expect(parseKrl(signed).signers.map(({ blob }) => blob)).toEqual([authority.publicKey.blob, other.publicKey.blob])
    const changed = Buffer.from(signed)
    changed[plain.length - 1]! ^= 1
    expect(() => parseKrl(changed)).toThrow('does not verify')
    const after = encode(writer => writer.bytes(signed).byte(2).string(Buffer.alloc(0)))
    expect(() => parseKrl(after)).toThrow('after its signature')
  })

  test('extensions: a critical one is refused, another passed over', () => {
    const withExtension = (critical: boolean): Buffer =>
      encode(writer =>
        writer
          .bytes(formatKrl(new Krl()))
          .byte(255)
          .string(encode(body => body.text('x@example.org').boolean(critical).text('data'))),
      )
    expect(parseKrl(withExtension(false)).keys).toEqual([])
    expect(() => parseKrl(withExtension(true))).toThrow('critical')
  })

  test('a bitmap cannot wrap nor be huge', () => {
    const withBitmap = (offset: bigint, bits: Buffer): Buffer => {
      const bitmap = encode(body => body.uint64(offset).mpint(bits))
      const certificates = encode(body => body.text('').text('').byte(0x22).string(bitmap))
      return encode(writer => writer.bytes(formatKrl(new Krl())).byte(1).string(certificates))
    }
    expect(() => parseKrl(withBitmap(0xffff_ffff_ffff_ffffn, Buffer.from([2])))).toThrow('past the end')
    expect(() => parseKrl(withBitmap(1n, Buffer.alloc(3 * mib, 0xff)))).toThrow('too long')
    expect(() => parseKrl(withBitmap(0n, Buffer.from([1])))).toThrow(KeyError)
  })

  test('10,000 damaged lists: an error or a list', () => {
    const krl = new Krl()
    krl.revoke(key.publicKey)
    krl.revokeDigest('sha256', hash('sha256', key.publicKey.blob))
    krl.revokeKeyId(authority.publicKey, 'id')
    for (const n of [1n, 2n, 5n, 900n, 905n, 90_000n]) krl.revokeSerials(authority.publicKey, n)
    const file = formatKrl(krl)
    const dice = seeded(3)
    const before = process.resourceUsage().maxRSS
    for (let i = 0; i < 10_000; i++) {
      const bad = Buffer.from(dice(4) === 0 ? file.subarray(0, dice(file.length)) : file)
      for (let n = dice(4); n >= 0 && bad.length > 0; n--) bad[dice(bad.length)] = dice(3) === 0 ? 255 : dice(256)
      try {
        isRevoked(parseKrl(bad), key.publicKey)
      } catch (error) {
        expect(error).toBeInstanceOf(KeyError)
      }
    }
    // KiB: garbage, and a bitmap of the longest kind.
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(64 * 1024)
  })
})

describe.skipIf(!haveProgram('ssh-keygen'))('with ssh-keygen', () => {
  let folder = ''
  const path = (name: string): string => join(folder, name)
  const keygen = (...args: string[]): string => execFileSync('ssh-keygen', args, { encoding: 'utf8' })
  const line = (name: string) => parseKeyOrCertificateLine(readFileSync(path(name), 'utf8').trim())

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-krl-'))
    for (const name of ['ca', 'plain', 'hashed', 'sha1', 'good']) {
      keygen('-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', path(name))
    }
    for (const [name, serial] of [
      ['cert5', '5'],
      ['cert50', '50'],
      ['cert0', '0'],
      ['cert7', '7'],
    ] as const) {
      keygen('-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', path(name))
      keygen('-q', '-s', path('ca'), '-I', `id-${name}`, '-n', 'u', '-z', serial, path(`${name}.pub`))
    }
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const subjects = [
    'plain.pub',
    'hashed.pub',
    'sha1.pub',
    'good.pub',
    'cert5-cert.pub',
    'cert50-cert.pub',
    'cert0-cert.pub',
    'cert7-cert.pub',
  ]
  const revoked = [true, true, true, false, true, true, true, false]

  test('its list says the same here', () => {
    writeFileSync(
      path('spec'),
      [
        'serial: 5',
        'serial: 40-60',
        'serial: 100',
        'serial: 102',
        'serial: 1000000-2000000',
        'id: id-cert0',
        `key: ${readFileSync(path('plain.pub'), 'utf8').trim()}`,
        `sha256: ${readFileSync(path('hashed.pub'), 'utf8').trim()}`,
        `sha1: ${readFileSync(path('sha1.pub'), 'utf8').trim()}`,
        '',
      ].join('\n'),
    )
    keygen('-q', '-k', '-f', path('krl'), '-z', '12', '-C', 'comment', '-s', path('ca.pub'), path('spec'))
    const file = readFileSync(path('krl'))
    expect(isKrl(file)).toBe(true)
    const krl = parseKrl(file)
    expect(krl.version).toBe(12n)
    expect(subjects.map(name => isRevoked(krl, line(name).certificate ?? line(name).key))).toEqual(revoked)
    const [entry] = krl.certificates
    expect([...entry!.serials.ranges()].map(({ first, last }) => `${first}-${last}`)).toEqual([
      '5-5',
      '40-60',
      '100-100',
      '102-102',
      '1000000-2000000',
    ])
  })

  test('our list says the same there, entry by entry', async () => {
    const krl = new Krl()
    const dice = seeded(4)
    const ca = line('ca.pub').key
    for (const [first, last] of [
      [5n, 5n],
      [40n, 60n],
    ] as const)
      krl.revokeSerials(ca, first, last)
    for (let i = 0, at = 1000; i < 600; i++) {
      at += 2 + dice([2, 30, 5000, 10_000_000][Math.floor(i / 150)]!)
      krl.revokeSerials(ca, BigInt(at), BigInt(at + dice(3)))
      at += 3
    }
    krl.revokeKeyId(undefined, 'id-cert0')
    krl.revoke(line('plain.pub').key)
    krl.revokeDigest('sha256', hash('sha256', line('hashed.pub').key.blob))
    krl.revokeDigest('sha1', hash('sha1', line('sha1.pub').key.blob))
    writeFileSync(path('ours'), formatKrl(krl))
    for (const [i, name] of subjects.entries()) {
      const ran = spawnSync('ssh-keygen', ['-Q', '-f', path('ours'), path(name)], { encoding: 'utf8' })
      expect([ran.status, ran.stdout.includes('REVOKED')], name).toEqual(revoked[i] ? [1, true] : [0, false])
    }
    const listed = keygen('-Q', '-l', '-f', path('ours'))
      .split('\n')
      .filter(text => text.startsWith('serial: '))
    const ours = [...krl.certificatesOf(ca).serials.ranges()].map(({ first, last }) =>
      first === last ? `serial: ${first}` : `serial: ${first}-${last}`,
    )
    expect(listed).toEqual(ours)
  })

  test('it takes our key lines from a list it updates', () => {
    writeFileSync(path('update'), formatKrl(new Krl()))
    const key = generateKey('rsa', 2048).publicKey
    writeFileSync(path('rsa.pub'), `${formatPublicKeyLine(key)}\n`)
    keygen('-q', '-k', '-u', '-f', path('update'), path('rsa.pub'))
    expect(isRevoked(parseKrl(readFileSync(path('update'))), key)).toBe(true)
  })
})
