/** Sealed bytes that may wait for the stream below before writers are asked to stop, and before input is held back. */
export const maxBatchBytes = 1024 * 1024

/** Whose packets an Outbox gathers. */
export interface OutboxCarrier {
  /** Gives a batch to the stream below; false when it is congested. */
  flush(chunks: Buffer[]): boolean
  /** The stream took a batch, or asks for more again. */
  outputFlushed(): void
}

/** Gathers sealed packets and hands them to the stream below, at most once per microtask. */
export class Outbox {
  /** Packets are sealed into this list; `added` must follow. */
  chunks: Buffer[] = []
  private bytes = 0
  private state: 'flowing' | 'congested' = 'flowing'
  private scheduled = false
  private readonly carrier: OutboxCarrier

  constructor(carrier: OutboxCarrier) {
    this.carrier = carrier
  }

  /** Writers should wait. */
  get full(): boolean {
    return this.state === 'congested' || this.bytes > maxBatchBytes
  }

  /** The peer does not read what it made us answer: taking more of its messages would only pile up answers. */
  get overflowing(): boolean {
    return this.state === 'congested' && this.bytes > maxBatchBytes
  }

  added(bytes: number): void {
    this.bytes += bytes
    if (this.scheduled || this.state === 'congested') return
    this.scheduled = true
    queueMicrotask(() => {
      this.scheduled = false
      if (this.state === 'congested') return
      this.handOver()
      this.carrier.outputFlushed()
    })
  }

  /** The stream below takes bytes again. */
  drained(): void {
    this.state = 'flowing'
    this.handOver()
    this.carrier.outputFlushed()
  }

  /** Hands over what is there, whether the stream is congested or not. */
  handOver(): void {
    if (this.chunks.length === 0) return
    const { chunks } = this
    this.chunks = []
    this.bytes = 0
    this.state = this.carrier.flush(chunks) ? 'flowing' : 'congested'
  }
}
