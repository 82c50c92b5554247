/** Compresses the payloads of one direction, with a window that lives as long as its keys do not change the method. */
export interface Compressor {
  compress(payload: Buffer): Buffer
}

export interface Decompressor {
  /** @throws ProtocolError `bad-compression` when damaged or larger than `limit` bytes. */
  decompress(payload: Buffer, limit: number): Buffer
}

/** A compression method (RFC 4253 §6.2) as negotiated by name. */
export interface CompressionAlgorithm {
  readonly name: string
  /** Starts only once the user is authenticated (`zlib@openssh.com`). */
  readonly delayed: boolean
  /** Absent for `none`. */
  readonly createCompressor?: () => Compressor
  readonly createDecompressor?: () => Decompressor
}
