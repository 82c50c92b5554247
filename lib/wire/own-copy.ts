/**
 * A copy in memory of its own, for what a connection keeps: a small Buffer usually lies in a pool of 8 KiB, which it
 * would hold as long as it lives.
 */
export function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}
