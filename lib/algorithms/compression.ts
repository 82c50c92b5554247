/** Compresses the payloads of one direction, with a window that lives until the next keys (RFC 4253 §6.2). */
export interface Compressor {
  /** The result is valid until the next call. */
  compress(payload: Buffer): Buffer
}

export interface Decompressor {
  /**
   * The result is a buffer of its own.
   * @throws ProtocolError `bad-compression` when damaged or larger than `limit` bytes.
   */
  decompress(payload: Buffer, limit: number): Buffer
}

/** A compression method (RFC 4253 §6.2) as negotiated by name. */
export interface CompressionAlgorithm {
  readonly name: string
  /** Starts only once the user is authenticated (`zlib@openssh.com`). */
  readonly delayed: boolean
  /** Brings the code in: once negotiated, before anything is created. Absent when there is nothing to wait for. */
  readonly load?: () => Promise<void>
  /** Absent for `none`. */
  readonly createCompressor?: () => Compressor
  readonly createDecompressor?: () => Decompressor
}
