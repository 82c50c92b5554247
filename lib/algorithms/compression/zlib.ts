import type { CompressionAlgorithm } from '../compression.ts'

/** Loaded when it is negotiated: most connections never compress. */
let streams: typeof import('./zlib-streams.ts') | undefined

const row = (name: string, delayed: boolean): CompressionAlgorithm => ({
  name,
  delayed,
  async load() {
    streams ??= await import('./zlib-streams.ts')
  },
  createCompressor: () => new streams!.ZlibCompressor(),
  createDecompressor: () => new streams!.ZlibDecompressor(),
})

/** From authentication on: whoever may not log in cannot reach the decompressor. */
export const zlibDelayed = row('zlib@openssh.com', true)

/** RFC 4253 §6.2: from the first keys on, hence off by default. */
export const zlib = row('zlib', false)
