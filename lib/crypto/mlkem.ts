import * as crypto from 'node:crypto'
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js'

/** A key encapsulation mechanism: what one side sends to the other, lengths in bytes. */
export interface Kem {
  readonly publicKeyLength: number
  readonly ciphertextLength: number
  generate(): KemKey
  /** @returns undefined when the key is not one */
  encapsulate(publicKey: Buffer): { readonly ciphertext: Buffer; readonly sharedSecret: Buffer } | undefined
}

/** A decapsulation key for one exchange. */
export interface KemKey {
  readonly publicKey: Buffer
  /** Implicit rejection: a wrong ciphertext of the right length gives a secret that nobody shares (FIPS 203 §6.3). */
  decapsulate(ciphertext: Buffer): Buffer
  /** Forgets the key, which is of no use then. */
  wipe(): void
}

/** A parameter set of FIPS 203 (table 3), its object identifier's last byte (2.16.840.1.101.3.4.4.*), and noble's code. */
interface ParameterSet {
  readonly name: 'ml-kem-768' | 'ml-kem-1024'
  readonly publicKeyLength: number
  readonly ciphertextLength: number
  readonly objectId: number
  readonly noble: typeof ml_kem768
}

/** What Node has of ML-KEM from 24.7 on, which its types for older releases do not know. */
interface NodeKem {
  encapsulate(key: crypto.KeyObject): { sharedKey: Buffer; ciphertext: Buffer }
  decapsulate(key: crypto.KeyObject, ciphertext: Buffer): Buffer
  generateKeyPairSync(type: string): crypto.KeyPairKeyObjectResult
}

const nodeCrypto = crypto as unknown as Partial<NodeKem>

function mlkem(parameters: ParameterSet): Kem {
  const { publicKeyLength, ciphertextLength } = parameters
  const { encapsulate, decapsulate, generateKeyPairSync } = nodeCrypto
  const native = encapsulate && decapsulate && generateKeyPairSync
  const provider = native
    ? nodeKem(parameters, { encapsulate, decapsulate, generateKeyPairSync })
    : nobleKem(parameters)
  return { publicKeyLength, ciphertextLength, ...provider }
}

type Provider = Pick<Kem, 'generate' | 'encapsulate'>

function nobleKem({ noble }: ParameterSet): Provider {
  return {
    generate() {
      const { publicKey, secretKey } = noble.keygen()
      return {
        publicKey: Buffer.from(publicKey),
        decapsulate: ciphertext => Buffer.from(noble.decapsulate(ciphertext, secretKey)),
        wipe: () => void secretKey.fill(0),
      }
    },
    encapsulate(publicKey) {
      try {
        const { cipherText, sharedSecret } = noble.encapsulate(publicKey)
        return { ciphertext: Buffer.from(cipherText), sharedSecret: Buffer.from(sharedSecret) }
      } catch {
        return undefined
      }
    },
  }
}

/** OpenSSL's: no code to warm up, and in constant time. It makes the modulus check of FIPS 203 §7.2 on import. */
function nodeKem({ name, publicKeyLength, objectId }: ParameterSet, node: NodeKem): Provider {
  const prefix = spkiPrefix(publicKeyLength, objectId)
  return {
    generate() {
      const { publicKey, privateKey } = node.generateKeyPairSync(name)
      return {
        publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(-publicKeyLength),
        decapsulate: ciphertext => Buffer.from(node.decapsulate(privateKey, ciphertext)),
        // OpenSSL wipes it when it is collected.
        wipe() {},
      }
    },
    encapsulate(publicKey) {
      if (publicKey.length !== publicKeyLength) return undefined
      try {
        const key = crypto.createPublicKey({ key: Buffer.concat([prefix, publicKey]), format: 'der', type: 'spki' })
        const { sharedKey, ciphertext } = node.encapsulate(key)
        return { ciphertext: Buffer.from(ciphertext), sharedSecret: Buffer.from(sharedKey) }
      } catch {
        return undefined
      }
    },
  }
}

/** The DER before a raw key: SEQUENCE { SEQUENCE { OID }, BIT STRING }. */
function spkiPrefix(publicKeyLength: number, objectId: number): Buffer {
  const prefix = Buffer.from('30820000300b060960864801650304040003820000' + '00', 'hex')
  prefix.writeUInt16BE(publicKeyLength + 18, 2)
  prefix[16] = objectId
  prefix.writeUInt16BE(publicKeyLength + 1, 19)
  return prefix
}

export const mlkem768: Kem = mlkem({
  name: 'ml-kem-768',
  publicKeyLength: 1184,
  ciphertextLength: 1088,
  objectId: 2,
  noble: ml_kem768,
})

export const mlkem1024: Kem = mlkem({
  name: 'ml-kem-1024',
  publicKeyLength: 1568,
  ciphertextLength: 1568,
  objectId: 3,
  noble: ml_kem1024,
})
