import { aes128Cbc, aes192Cbc, aes256Cbc, type CbcCipher, tripleDesCbc } from '../../crypto/block-cipher.ts'
import type { CipherAlgorithm } from '../cipher.ts'
import { streamCipher } from './stream.ts'

/** CBC (RFC 4253 §6.3): the last block of a packet is the IV of the next. */
export const cbcCipher = (name: string, cipher: CbcCipher): CipherAlgorithm =>
  streamCipher({
    name,
    keyLength: cipher.keyLength,
    ivLength: cipher.blockLength,
    blockLength: cipher.blockLength,
    chained: true,
    encryptor: cipher.encryptor,
    decryptor: cipher.decryptor,
  })

/** Off by default, as in OpenSSH. */
export const cbcCiphers: readonly CipherAlgorithm[] = [
  cbcCipher('3des-cbc', tripleDesCbc),
  cbcCipher('aes128-cbc', aes128Cbc),
  cbcCipher('aes192-cbc', aes192Cbc),
  cbcCipher('aes256-cbc', aes256Cbc),
  // The name of aes256-cbc before RFC 4344.
  cbcCipher('rijndael-cbc@lysator.liu.se', aes256Cbc),
]
