import { type ChachaPoly, chachaPoly, chachaPolyTagLength } from '../../crypto/chacha20-poly1305.ts'
import { ProtocolError } from '../../errors.ts'
import type { CipherAlgorithm, PacketOpener, PacketSealer } from '../cipher.ts'

/** PROTOCOL.chacha20poly1305: one key for the body (first 32 bytes) and one for the length; the nonce is the sequence. */
export const chacha20Poly1305: CipherAlgorithm = {
  name: 'chacha20-poly1305@openssh.com',
  keyLength: 64,
  ivLength: 0,
  authenticated: true,
  createSealer: ({ key }) => sealer(chachaPoly(key)),
  createOpener: ({ key }) => opener(chachaPoly(key)),
}

const sealer = (cipher: ChachaPoly): PacketSealer => ({
  blockLength: 8,
  lengthApart: true,
  seal: (sequence, packet, out) => cipher.seal(sequence, packet, out),
})

const opener = (cipher: ChachaPoly): PacketOpener => ({
  blockLength: 8,
  lengthApart: true,
  headLength: 4,
  tagLength: chachaPolyTagLength,
  openLength: (sequence, head) => cipher.openLength(sequence, head),
  open(sequence, sealed) {
    const opened = cipher.open(sequence, sealed)
    if (!opened) throw new ProtocolError('mac-mismatch', 'message authentication code incorrect')
    return opened
  },
})
