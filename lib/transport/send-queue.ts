/** Bytes of messages, and their number, that may wait for the end of a key exchange. */
export const maxQueuedBytes = 16 * 1024 * 1024
export const maxQueuedMessages = 16 * 1024

type Item = Buffer | 'authenticated'

/** Payloads that wait until our NEWKEYS is out, and marks between them. */
export class SendQueue {
  private items: Item[] = []
  private next = 0
  private bytes = 0

  get empty(): boolean {
    return this.next === this.items.length
  }

  /** The other side made us answer, or a writer ignored `writable`, for too long. */
  get overflown(): boolean {
    return this.bytes > maxQueuedBytes || this.items.length - this.next > maxQueuedMessages
  }

  /** Takes a copy of `payload`. */
  add(payload: Buffer): void {
    this.items.push(Buffer.from(payload))
    this.bytes += payload.length
  }

  addMark(mark: 'authenticated'): void {
    this.items.push(mark)
  }

  take(): Item | undefined {
    const item = this.items[this.next]
    if (item === undefined) {
      this.items = []
      this.next = 0
      return undefined
    }
    this.next++
    if (typeof item !== 'string') this.bytes -= item.length
    return item
  }

  clear(): void {
    for (const item of this.items) if (typeof item !== 'string') item.fill(0)
    this.items = []
    this.next = 0
    this.bytes = 0
  }
}
