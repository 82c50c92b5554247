import { createHmac } from 'node:crypto'
import type { HashName } from './hash.ts'

/** HMAC (RFC 2104) of all parts after one another. */
export function hmac(name: HashName, key: Uint8Array, ...parts: Uint8Array[]): Buffer {
  const state = createHmac(name, key)
  for (const part of parts) state.update(part)
  return state.digest()
}
