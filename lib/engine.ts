/** The byte stream's side of an engine. */
export interface Engine {
  /**
   * Takes bytes from the stream, whose memory may be used again afterwards; a returned promise asks it to pause until it
   * settles.
   */
  receive(chunk: Buffer): Promise<void> | undefined
  ended(error?: Error): void
  outputDrained(): void
}

/** A promise with its ends, which nobody has to await. */
export function deferred<T>(): { promise: Promise<T>; resolve(value: T): void; reject(error: unknown): void } {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  promise.catch(() => {})
  return { promise, resolve, reject }
}
