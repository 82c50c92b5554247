import { arcfour } from '../../crypto/arcfour.ts'
import { ownCbc } from '../../crypto/block-cipher.ts'
import { Blowfish, toWords } from '../../crypto/blowfish.ts'
import { Cast128 } from '../../crypto/cast128.ts'
import { Seed } from '../../crypto/seed.ts'
import type { CipherAlgorithm } from '../cipher.ts'
import { cbcCipher } from './cbc.ts'
import { streamCipher } from './stream.ts'

function blowfish(key: Buffer): Blowfish {
  const cipher = new Blowfish()
  cipher.expand(toWords(key))
  return cipher
}

/** RFC 4345 throws the first 1536 bytes away; the older name does not. */
const arcfourRow = (name: string, keyLength: number, skip: number): CipherAlgorithm =>
  streamCipher({
    name,
    keyLength,
    ivLength: 0,
    blockLength: 8,
    chained: false,
    encryptor: key => arcfour(key, skip),
    decryptor: key => arcfour(key, skip),
  })

/** What AsyncSSH still has for old servers, in our own code: OpenSSL keeps them in a provider that Node does not load. */
export const legacyCiphers: readonly CipherAlgorithm[] = [
  cbcCipher('blowfish-cbc', ownCbc(16, 8, blowfish)),
  cbcCipher(
    'cast128-cbc',
    ownCbc(16, 8, key => new Cast128(key)),
  ),
  cbcCipher(
    'seed-cbc@ssh.com',
    ownCbc(16, 16, key => new Seed(key)),
  ),
  arcfourRow('arcfour256', 32, 1536),
  arcfourRow('arcfour128', 16, 1536),
  arcfourRow('arcfour', 16, 0),
]
