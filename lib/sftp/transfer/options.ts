import { SshError } from '../../errors.ts'
import type { Attributes } from '../attributes.ts'
import type { FileSystem } from '../filesystem.ts'
import { SftpError } from '../status.ts'

/** One end of a transfer: a path in a file system. */
export interface TransferEnd {
  readonly files: FileSystem
  readonly path: string
}

/** What was being done when a transfer failed. */
export type TransferStep =
  | 'look'
  | 'list'
  | 'open-source'
  | 'read'
  | 'open-target'
  | 'write'
  | 'finish'
  | 'mkdir'
  | 'attributes'
  | 'link'
  | 'resume'
  | 'rename'
  | 'connect'

/** One file, link or directory was not copied. */
export class TransferError extends SftpError {
  readonly step: TransferStep
  readonly source: string
  readonly target: string
  /** Undefined when it was not an error of a file system: the session broke the protocol. */
  readonly reason: Error

  constructor(step: TransferStep, source: string, target: string, reason: unknown) {
    const error = reason instanceof Error ? reason : new Error(String(reason))
    const code = error instanceof SftpError ? error.code : error instanceof SshError ? 'connection-lost' : 'failure'
    super(code, { message: error.message, cause: error })
    this.step = step
    this.source = source
    this.target = target
    this.reason = error
  }
}

/** The session is gone, not only the request: an error of the connection or of the protocol. */
export const isLost = (error: unknown): boolean => !(error instanceof SftpError) || error.code === 'connection-lost'

export interface FileProgress {
  readonly source: string
  readonly target: string
  /** Bytes that are there, those kept by resuming included. */
  readonly bytes: number
  /** As listed before the copy; the file may have grown. */
  readonly size: number
}

/** What the caller is told while files move. Every method is optional. */
export interface TransferObserver {
  /** A directory is about to be copied. */
  directory?(source: string, target: string): void
  started?(file: FileProgress): void
  progress?(file: FileProgress): void
  done?(file: FileProgress): void
  /** Left out, because of its type or by an option. */
  skipped?(source: string, reason: 'link' | 'special' | 'filter' | 'unchanged'): void
  failed?(failure: TransferError): void
  /** The connection is lost; it is tried again after so many milliseconds. */
  retrying?(attempt: number, milliseconds: number, error: Error): void
}

/** How to go on after a lost connection. */
export interface Retry {
  /** Attempts in a row without a byte moved in between; 5 by default. */
  readonly attempts?: number
  /** Milliseconds before an attempt, counted from 1: by default 1 s, doubled up to 30 s. */
  backoff?(attempt: number): number
  /** Whether an error of `reconnect` would come again however often it is tried. */
  isFinal?(error: Error): boolean
  /** Connects again and gives the new file systems, of the ends that need one. */
  reconnect(): Promise<{ readonly source?: FileSystem; readonly target?: FileSystem }>
}

export interface TransferOptions {
  /** Copies directories with all that is in them; else a directory is a failure. */
  readonly recurse?: boolean
  /** Keeps times and permission bits (0777 of files, 01777 of directories). */
  readonly preserve?: boolean
  /**
   * Permissions of new files before the umask cuts them: those of the source (default), the same and writable for their
   * owner, or 0666.
   */
  readonly modes?: 'source' | 'writable' | 'default'
  /** Symbolic links in directories: followed (default), copied as links, or left out. With `copy` the source itself too. */
  readonly links?: 'follow' | 'copy' | 'skip'
  /** Leaves holes where the source has them, or long runs of zeros; true by default. */
  readonly sparse?: boolean
  /** Bytes of a READ or WRITE; by default what both ends take. */
  readonly blockSize?: number | undefined
  /** Requests for data in flight. */
  readonly maximumRequests?: number | undefined
  /** Files under way at once. */
  readonly maximumFiles?: number | undefined
  /** Writes to a temporary name beside the target and renames it at the end: the old file stays whole until then. */
  readonly atomic?: boolean
  /**
   * What to do with a target that is shorter than the source. `verify`: keeps the part that is the same, told by the
   * server's checksum or by reading it. `size`: trusts that all of it is the same, as OpenSSH does.
   */
  readonly resume?: 'no' | 'verify' | 'size'
  /** Waits until each file is on the disk. */
  readonly sync?: boolean
  /** Fails when the source changed while it was read; true by default. Growing at the end is no change. */
  readonly checkChanges?: boolean
  /** Bytes a second. */
  readonly rate?: number | undefined
  /** Ends the transfer: what is complete stays, a file under way is cut to what is whole. */
  readonly signal?: AbortSignal | undefined
  readonly retry?: Retry | undefined
  /** Whether to copy a file or directory; the path is below the source, without `/` before it. */
  readonly filter?: (path: string, attributes: Attributes) => boolean
  readonly observer?: TransferObserver
}

/** What a transfer did. */
export interface TransferReport {
  readonly files: number
  readonly directories: number
  readonly links: number
  readonly skipped: number
  /** Bytes moved, without those that resuming kept. */
  readonly bytes: number
  readonly failures: readonly TransferError[]
  /** Of a job that ended early: files, directories and links that it knew of and did not come to. */
  readonly left: number
  /** `lost`: the connection. */
  readonly end: 'complete' | 'aborted' | 'lost'
}
