/** Packets of chacha20-poly1305@openssh.com (PROTOCOL.chacha20poly1305). */

import { keystream, mix, stream, streamLength, wipe } from './chacha20'
import { absorb as absorbBytes, finish as finishTag, start } from './poly1305'

const blockLength: usize = 64

/** Bytes that `packet` holds. */
export const capacity: i32 = 65536
export const packet = memory.data(65536 + 32, 16)
/** The body's key, then the length's. */
export const keys = memory.data(64, 16)
const bodyKey = keys
const lengthKey = keys + 32
/** The sequence number as a uint64, big-endian. */
export const nonce = memory.data(8, 8)
/** Where `finish` leaves the tag. */
export const tag = memory.data(16, 16)

/** Encrypts or decrypts the length field that `packet` begins with. */
export function mixLength(): void {
  keystream(lengthKey, nonce, 0)
  mix(packet, 4, 0)
  forget()
}

/** Begins a tag under the one-time key that `keys` begins with. */
export function beginWithKey(): void {
  start(keys)
  forget()
}

/** Begins the tag of a packet that comes in pieces. */
export function begin(): void {
  keystream(bodyKey, nonce, 0)
  start(stream)
  forget()
}

/** Takes the first bytes of `packet` into the tag: a multiple of 16 unless they are the last. */
export function absorb(length: i32): void {
  absorbBytes(packet, length)
}

export function finish(): void {
  finishTag(tag)
}

/** Seals the plain packet of `length` bytes in `packet`; the tag follows it there. */
export function seal(length: i32): void {
  keystream(lengthKey, nonce, 0)
  mix(packet, 4, 0)
  keystream(bodyKey, nonce, 0)
  start(stream)
  mixBody(length)
  absorbBytes(packet, length)
  finishTag(packet + length)
  forget()
}

/**
 * Opens the sealed packet of `length` bytes in `packet`, which the tag follows; the length field stays as it is.
 * Returns 0 when the tag is right; otherwise nothing is decrypted.
 */
export function open(length: i32): i32 {
  keystream(bodyKey, nonce, 0)
  start(stream)
  absorbBytes(packet, length)
  finishTag(tag)
  const given = packet + length
  const difference = (load<u64>(given) ^ load<u64>(tag)) | (load<u64>(given, 8) ^ load<u64>(tag, 8))
  if (difference === 0) mixBody(length)
  forget()
  return i32(difference !== 0)
}

/** `stream` holds blocks 0 to 3 of the body's key; the body begins with block 1. */
function mixBody(length: i32): void {
  let at = packet + 4
  let left = usize(length) - 4
  let offset = blockLength
  let counter = 0
  while (true) {
    const taken = min(left, streamLength - offset)
    mix(at, taken, offset)
    at += taken
    left -= taken
    if (left === 0) return
    counter += 4
    offset = 0
    keystream(bodyKey, nonce, counter)
  }
}

function forget(): void {
  wipe()
  memory.fill(keys, 0, 64)
}
