import type { CipherAlgorithm, CipherKeys, PacketOpener } from '../../../lib/algorithms/cipher.ts'
import type { Mac, MacAlgorithm } from '../../../lib/algorithms/mac.ts'
import { hmacSha256, hmacSha256Etm } from '../../../lib/algorithms/macs/hmac.ts'
import type { Passed } from '../../../lib/algorithms/provider.ts'
import type { NativeCipher, OpenSsl } from './library.ts'

const bytes = (length: number, value: number): Buffer => Buffer.alloc(length, value)

/** Padded packets of every cipher here: the first is 16 bytes alone, and long ones may go another way than short ones. */
const contents = [12, 44, 3068, 5004]

/** Whether packets are the same as the engine's own, from the second on, both ways, and broken ones are refused. */
export function cipherAgrees(openssl: OpenSsl, native: NativeCipher, own: CipherAlgorithm): boolean {
  const macs = own.authenticated ? [undefined] : [hmacSha256Etm, hmacSha256]
  try {
    return macs.every(mac => agreesBesides(mac, openssl, native, own))
  } catch {
    return false
  }
}

function agreesBesides(
  mac: MacAlgorithm | undefined,
  openssl: OpenSsl,
  native: NativeCipher,
  own: CipherAlgorithm,
): boolean {
  // The counters of all modes carry.
  const keys = (): CipherKeys => ({
    key: bytes(own.keyLength, 1),
    iv: bytes(own.ivLength, 0xff),
    ...(mac && { mac: mac.create(bytes(mac.keyLength, 2)) }),
  })
  const ownSealer = own.createSealer(keys())
  const ownOpener = own.createOpener(keys())
  const packets = contents.map(length => packetOf(length, ownSealer.lengthApart))
  const sealedBy = (sealer: typeof ownSealer, sequence: number): Buffer => {
    const out: Buffer[] = []
    sealer.seal(sequence, packets[sequence]!, out)
    return Buffer.concat(out)
  }
  const opens = (opener: PacketOpener, sequence: number, sealed: Buffer): boolean => {
    const packet = packets[sequence]!
    const length = opener.openLength(sequence, sealed.subarray(0, opener.headLength))
    return length === packet.length - 4 && opener.open(sequence, sealed).equals(packet.subarray(4))
  }

  const first = sealedBy(ownSealer, 0)
  const passed: Passed = { packets: 1, bytes: packets[0]!.length }
  const sealer = native.sealer(openssl, keys(), passed)
  const opener = native.opener(openssl, keys(), passed)
  if (!opens(ownOpener, 0, first)) return false
  for (let sequence = 1; sequence < packets.length; sequence++) {
    const sealed = sealedBy(ownSealer, sequence)
    if (!sealedBy(sealer, sequence).equals(sealed)) return false
    const last = sequence === packets.length - 1
    if (!last && !opens(opener, sequence, sealed)) return false
    if (last && !refuses(opener, sequence, sealed)) return false
  }
  return true
}

function packetOf(content: number, lengthApart: boolean): Buffer {
  const packet = bytes(4 + content + (lengthApart ? 4 : 0), 3)
  packet.writeUInt32BE(packet.length - 4)
  return packet
}

function refuses(opener: PacketOpener, sequence: number, sealed: Buffer): boolean {
  sealed[sealed.length - 1]! ^= 1
  opener.openLength(sequence, sealed.subarray(0, opener.headLength))
  try {
    opener.open(sequence, sealed)
    return false
  } catch {
    return true
  }
}

/** Whether tags are the same as the engine's own, one after another. */
export function macAgrees(create: (key: Buffer) => Mac, own: MacAlgorithm): boolean {
  const parts = [bytes(4, 1), bytes(300, 2)]
  const key = bytes(own.keyLength, 3)
  try {
    const [native, plain] = [create(key), own.create(key)]
    return [0, 1, 0xffffffff].every(sequence =>
      native.compute(sequence, ...parts).equals(plain.compute(sequence, ...parts)),
    )
  } catch {
    return false
  }
}
