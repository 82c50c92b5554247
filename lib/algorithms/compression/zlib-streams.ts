import {
  Z_BUF_ERROR,
  Z_OK,
  Z_PARTIAL_FLUSH,
  Z_SYNC_FLUSH,
  ZStream,
  zlibDeflate,
  zlibDeflateInit,
  zlibInflate,
  zlibInflateInit,
} from 'pako'
import { ProtocolError } from '../../errors.ts'
import type { Compressor, Decompressor } from '../compression.ts'

/**
 * zlib (RFC 1950) as pako has it, since Node's own cannot keep a stream and be synchronous: one stream for all payloads of
 * a direction, flushed after each.
 */

/** OpenSSH's. */
const level = 6
/** Output is made in pieces of so many bytes. */
const pieceLength = 64 * 1024

/** Streams run one after another, so all may write here. */
const piece = new Uint8Array(pieceLength)
const pieceView = Buffer.from(piece.buffer)

function give(stream: ZStream, payload: Uint8Array): void {
  stream.input = payload
  stream.next_in = 0
  stream.avail_in = payload.length
}

/** The bytes that `run` writes, as a view of the common piece where one is enough. */
function gather(stream: ZStream, run: () => void, limit: number): Buffer {
  const pieces: Buffer[] = []
  let total = 0
  for (;;) {
    stream.output = piece
    stream.next_out = 0
    stream.avail_out = pieceLength
    run()
    const made = pieceLength - stream.avail_out
    total += made
    if (total > limit) throw new ProtocolError('bad-compression', 'packet inflates beyond the largest packet')
    if (stream.avail_out > 0) {
      const last = pieceView.subarray(0, made)
      return pieces.length === 0 ? last : Buffer.concat([...pieces, last])
    }
    pieces.push(Buffer.from(pieceView))
  }
}

export class ZlibCompressor implements Compressor {
  private readonly stream = new ZStream()

  constructor() {
    zlibDeflateInit(this.stream, level)
  }

  compress(payload: Buffer): Buffer {
    const { stream } = this
    give(stream, payload)
    // A partial flush, as OpenSSH's: it costs fewer bytes than a full one.
    return gather(stream, () => zlibDeflate(stream, Z_PARTIAL_FLUSH), Number.POSITIVE_INFINITY)
  }
}

export class ZlibDecompressor implements Decompressor {
  private readonly stream = new ZStream()

  constructor() {
    zlibInflateInit(this.stream)
  }

  decompress(payload: Buffer, limit: number): Buffer {
    const { stream } = this
    give(stream, payload)
    const run = (): void => {
      const status = zlibInflate(stream, Z_SYNC_FLUSH)
      // Z_BUF_ERROR only says that nothing was left to do. The end of a stream never comes: it lives with its keys.
      if (status !== Z_OK && status !== Z_BUF_ERROR)
        throw new ProtocolError('bad-compression', 'damaged compressed data')
    }
    return Buffer.from(gather(stream, run, limit))
  }
}
