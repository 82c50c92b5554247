import { createHash, createPrivateKey, generateKeyPairSync, sign as nodeSign, verify as nodeVerify } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import { describe, expect, test } from 'vitest'
import { allSignatureAlgorithms, signatureAlgorithmOf } from '../../lib/keys/algorithms.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { type GeneratedKind, generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine, parsePublicKey } from '../../lib/keys/public-key.ts'
import { Reader } from '../../lib/wire/reader.ts'
import { encode } from '../../lib/wire/writer.ts'
import { runProgram } from '../support/listening.ts'
import { haveProgram, havePythonModule } from '../support/programs.ts'

/** Every signature algorithm against another implementation: AsyncSSH, ssh-keygen, or for ML-DSA noble and the draft. */

const withAsyncssh: Readonly<Record<string, readonly [GeneratedKind, number?]>> = {
  'ssh-ed25519': ['ed25519'],
  'ssh-ed448': ['ed448'],
  'ecdsa-sha2-nistp256': ['ecdsa', 256],
  'ecdsa-sha2-nistp384': ['ecdsa', 384],
  'ecdsa-sha2-nistp521': ['ecdsa', 521],
  'ecdsa-sha2-1.3.132.0.10': ['ecdsa-secp256k1'],
  'rsa-sha2-256': ['rsa', 2048],
  'rsa-sha2-512': ['rsa', 2048],
  'ssh-rsa': ['rsa', 2048],
  'ssh-rsa-sha224@ssh.com': ['rsa', 2048],
  'ssh-rsa-sha256@ssh.com': ['rsa', 2048],
  'ssh-rsa-sha384@ssh.com': ['rsa', 2048],
  'ssh-rsa-sha512@ssh.com': ['rsa', 2048],
  'ssh-dss': ['dsa'],
}
const ofSecurityKeys = [
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
  'webauthn-sk-ecdsa-sha2-nistp256@openssh.com',
] as const
const composite = 'ssh-mldsa44-ed25519@openssh.com'

test('every name has a test here; a certificate’s signature is that of its key', () => {
  const here = new Set([...Object.keys(withAsyncssh), ...ofSecurityKeys, composite])
  expect(new Set(allSignatureAlgorithms.map(signatureAlgorithmOf))).toEqual(here)
})

interface Task {
  readonly key: string
  readonly data: string
  /** Verify this, or else sign under `algorithm`. */
  readonly signature?: string
  readonly algorithm?: string
}

const script = `
import asyncssh, json, sys
def work(task):
    data = bytes.fromhex(task['data'])
    if 'signature' in task:
        return asyncssh.import_public_key(task['key']).verify(data, bytes.fromhex(task['signature']))
    return asyncssh.import_private_key(task['key']).sign(data, task['algorithm'].encode()).hex()
print(json.dumps([work(task) for task in json.load(sys.stdin)]))
`

async function asyncssh<T>(tasks: readonly Task[]): Promise<T[]> {
  const ran = await runProgram('/usr/bin/python3', ['-W', 'ignore', '-c', script], { input: JSON.stringify(tasks) })
  expect(ran.stderr).toBe('')
  return JSON.parse(ran.stdout.toString()) as T[]
}

const data = Buffer.from('what is signed')
const other = Buffer.from('what is not')
const sha256 = (input: Buffer | string): Buffer => createHash('sha256').update(input).digest()

describe.skipIf(!havePythonModule('asyncssh'))('AsyncSSH', () => {
  test('takes our signatures, and we take its, under every name', { timeout: 30_000 }, async () => {
    const rsa = generateKey('rsa', 2048)
    const rows = Object.entries(withAsyncssh).map(([algorithm, [kind, bits]]) => {
      const key = kind === 'rsa' ? rsa : generateKey(kind, bits)
      // Where ssh-keygen has no such key either, the format is the same.
      return { algorithm, key, file: formatOpensshV1(key).toString(), line: formatPublicKeyLine(key.publicKey) }
    })
    const made = await asyncssh<string>(
      rows.map(({ algorithm, file }) => ({ key: file, algorithm, data: data.toString('hex') })),
    )
    for (const [i, { algorithm, key }] of rows.entries()) {
      const signature = Buffer.from(made[i]!, 'hex')
      expect(new Reader(signature).text()).toBe(algorithm)
      expect(key.publicKey.verify(data, signature, algorithm), algorithm).toBe(true)
      expect(key.publicKey.verify(other, signature, algorithm), algorithm).toBe(false)
    }
    const verdicts = await asyncssh<boolean>(
      rows.flatMap(({ algorithm, key, line }) => {
        const signature = key.sign(data, algorithm).toString('hex')
        return [data, other].map(text => ({ key: line, data: text.toString('hex'), signature }))
      }),
    )
    expect(verdicts).toEqual(rows.flatMap(() => [true, false]))
  })
})

/** Signatures as devices and browsers make them, by hand (PROTOCOL.u2f), in the envelope of `ssh-keygen -Y`. */
describe.skipIf(!haveProgram('ssh-keygen'))('ssh-keygen and we judge alike a signature', () => {
  const application = 'ssh:'
  const ed25519 = generateKey('ed25519')
  const ecdsa = generateKey('ecdsa', 256)
  const bodyOf = (signature: Buffer): Buffer => {
    const reader = new Reader(signature)
    reader.text()
    return Buffer.from(reader.string())
  }
  const point = ecdsa.publicKey.blob.subarray(-65)
  const keys = {
    ed25519: encode(w => w.text(ofSecurityKeys[0]).string(ed25519.publicKey.blob.subarray(-32)).text(application)),
    ecdsa: encode(w => w.text(ofSecurityKeys[1]).text('nistp256').string(point).text(application)),
  }
  /** PROTOCOL.sshsig: what is signed of a message. */
  const wrapped = (message: Buffer): Buffer =>
    encode(w =>
      w
        .bytes(Buffer.from('SSHSIG'))
        .text('test')
        .text('')
        .text('sha512')
        .string(createHash('sha512').update(message).digest()),
    )
  /** By the device: of the hash of a message, with flags and a counter. */
  const signed = (kind: keyof typeof keys, message: Buffer): Buffer => {
    const content = encode(w => w.bytes(sha256(application)).byte(1).uint32(7).bytes(sha256(message)))
    return bodyOf(kind === 'ecdsa' ? ecdsa.sign(content, 'ecdsa-sha2-nistp256') : ed25519.sign(content, 'ssh-ed25519'))
  }
  const plain = (kind: keyof typeof keys, name: string, flags: number): Buffer =>
    encode(w =>
      w
        .text(name)
        .string(signed(kind, wrapped(data)))
        .byte(flags)
        .uint32(7),
    )
  const browser = (message: Buffer, origin: string, told = origin): Buffer => {
    const challenge = wrapped(message).toString('base64url')
    const json = Buffer.from(
      `{"type":"webauthn.get","challenge":"${challenge}","origin":"${origin}","crossOrigin":false}`,
    )
    return encode(w =>
      w.text(ofSecurityKeys[2]).string(signed('ecdsa', json)).byte(1).uint32(7).text(told).string(json).text(''),
    )
  }
  test.each([
    ['of Ed25519', true, keys.ed25519, plain('ed25519', ofSecurityKeys[0], 1)],
    ['of Ed25519 whose flags were changed', false, keys.ed25519, plain('ed25519', ofSecurityKeys[0], 5)],
    ['of ECDSA', true, keys.ecdsa, plain('ecdsa', ofSecurityKeys[1], 1)],
    ['of ECDSA whose flags were changed', false, keys.ecdsa, plain('ecdsa', ofSecurityKeys[1], 5)],
    ['of a browser', true, keys.ecdsa, browser(data, 'https://example.com')],
    ['of a browser for something else', false, keys.ecdsa, browser(other, 'https://example.com')],
    ['of a browser at another place', false, keys.ecdsa, browser(data, 'https://a.example', 'https://b.example')],
  ] as const)('%s', async (_what, good, blob, signature) => {
    expect(parsePublicKey(blob).verify(wrapped(data), signature)).toBe(good)
    const envelope = encode(w =>
      w.bytes(Buffer.from('SSHSIG')).uint32(1).string(blob).text('test').text('').text('sha512').string(signature),
    )
    const lines = envelope.toString('base64').match(/.{1,70}/g) ?? []
    const folder = mkdtempSync(join(tmpdir(), 'tssh-signatures-'))
    try {
      const file = join(folder, 'signature')
      writeFileSync(file, ['-----BEGIN SSH SIGNATURE-----', ...lines, '-----END SSH SIGNATURE-----', ''].join('\n'))
      const ran = await runProgram('ssh-keygen', ['-Y', 'check-novalidate', '-n', 'test', '-s', file], { input: data })
      expect(ran.status === 0, ran.stderr).toBe(good)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

/** draft-miller-sshm-mldsa44-ed25519-composite-sigs over draft-ietf-lamps-pq-composite-sigs §3. */
describe('ML-DSA-44 with Ed25519', () => {
  const label = 'COMPSIG-MLDSA44-Ed25519-SHA512'
  const representative = (message: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from(`CompositeAlgorithmSignatures2025${label}\0`),
      createHash('sha512').update(message).digest(),
    ])
  const context = Buffer.from(label)
  const ed25519 = generateKeyPairSync('ed25519')
  const raw = (key: { export(options: object): Buffer | string }, type: string): Buffer =>
    Buffer.from(key.export({ format: 'der', type }) as Buffer).subarray(-32)
  const lattice = ml_dsa44.keygen(Buffer.alloc(32, 5))
  const blob = encode(w => w.text(composite).string(Buffer.concat([lattice.publicKey, raw(ed25519.publicKey, 'spki')])))
  const signature = (message: Buffer, edwardsMessage = message): Buffer =>
    encode(w =>
      w
        .text(composite)
        .string(
          Buffer.concat([
            ml_dsa44.sign(representative(message), lattice.secretKey, { context }),
            nodeSign(
              undefined,
              representative(edwardsMessage),
              createPrivateKey(ed25519.privateKey.export({ format: 'pem', type: 'pkcs8' })),
            ),
          ]),
        ),
    )

  test('a signature made by hand counts, and neither half alone', () => {
    const key = parsePublicKey(blob)
    expect(key.verify(data, signature(data))).toBe(true)
    expect(key.verify(data, signature(data, other))).toBe(false)
    expect(key.verify(data, signature(other, data))).toBe(false)
    expect(key.verify(other, signature(data))).toBe(false)
  })

  test('both halves of ours hold', () => {
    const key = generateKey('mldsa44-ed25519')
    const kept = parsePrivateKey(Buffer.from(formatOpensshV1(key)))
    const reader = new Reader(kept.sign(data, composite))
    expect(reader.text()).toBe(composite)
    const bytes = Buffer.from(reader.string())
    const keyReader = new Reader(key.publicKey.blob)
    keyReader.text()
    const value = Buffer.from(keyReader.string())
    const message = representative(data)
    expect(ml_dsa44.verify(bytes.subarray(0, 2420), message, value.subarray(0, 1312), { context })).toBe(true)
    const edwardsKey = { kty: 'OKP', crv: 'Ed25519', x: value.subarray(1312).toString('base64url') }
    expect(nodeVerify(undefined, message, { key: edwardsKey, format: 'jwk' }, bytes.subarray(2420))).toBe(true)
  })
})
