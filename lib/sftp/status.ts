import { SshError } from '../errors.ts'

/** SSH_FX_* (draft-ietf-secsh-filexfer-02 §7, -13 §9.1), by the number on the wire. */
export const statusCodes = [
  'ok',
  'eof',
  'no-such-file',
  'permission-denied',
  'failure',
  'bad-message',
  'no-connection',
  'connection-lost',
  'op-unsupported',
  'invalid-handle',
  'no-such-path',
  'file-already-exists',
  'write-protect',
  'no-media',
  'no-space-on-filesystem',
  'quota-exceeded',
  'unknown-principal',
  'lock-conflict',
  'dir-not-empty',
  'not-a-directory',
  'invalid-filename',
  'link-loop',
  'cannot-delete',
  'invalid-parameter',
  'file-is-a-directory',
  'byte-range-lock-conflict',
  'byte-range-lock-refused',
  'delete-pending',
  'file-corrupt',
  'owner-invalid',
  'group-invalid',
  'no-matching-byte-range-lock',
] as const

export type StatusCode = (typeof statusCodes)[number]
/** `aborted`: the caller's AbortSignal; no such status exists on the wire. */
export type SftpErrorCode = Exclude<StatusCode, 'ok'> | 'aborted'

const texts: Readonly<Record<SftpErrorCode, string>> = {
  eof: 'End of file',
  'no-such-file': 'No such file or directory',
  'permission-denied': 'Permission denied',
  failure: 'Failure',
  'bad-message': 'Bad message',
  'no-connection': 'No connection',
  'connection-lost': 'Connection lost',
  'op-unsupported': 'Operation unsupported',
  'invalid-handle': 'Invalid handle',
  'no-such-path': 'No such path',
  'file-already-exists': 'File already exists',
  'write-protect': 'Write protected',
  'no-media': 'No media',
  'no-space-on-filesystem': 'No space left on file system',
  'quota-exceeded': 'Quota exceeded',
  'unknown-principal': 'Unknown principal',
  'lock-conflict': 'Lock conflict',
  'dir-not-empty': 'Directory not empty',
  'not-a-directory': 'Not a directory',
  'invalid-filename': 'Invalid file name',
  'link-loop': 'Too many symbolic links',
  'cannot-delete': 'Cannot delete',
  'invalid-parameter': 'Invalid parameter',
  'file-is-a-directory': 'Is a directory',
  'byte-range-lock-conflict': 'Byte range is locked',
  'byte-range-lock-refused': 'Byte range lock refused',
  'delete-pending': 'Deletion pending',
  'file-corrupt': 'File is corrupt',
  'owner-invalid': 'Invalid owner',
  'group-invalid': 'Invalid group',
  'no-matching-byte-range-lock': 'No such byte range lock',
  aborted: 'Cancelled',
}

/** One request failed; the session goes on unless the code is `connection-lost`. */
export class SftpError extends SshError<SftpErrorCode> {
  /** The file concerned, when known. */
  readonly path: string | undefined

  constructor(code: SftpErrorCode, options: { path?: string; message?: string; cause?: unknown } = {}) {
    const text = options.message ?? texts[code]
    super(code, options.path === undefined ? text : `${options.path}: ${text}`, { cause: options.cause })
    this.path = options.path
  }
}

/** Highest status that each version knows. */
const lastStatus: Readonly<Record<number, number>> = { 3: 8, 4: 13, 5: 17, 6: 31 }

/** What an older version says instead of a status that it lacks. */
const nearest: Partial<Record<StatusCode, StatusCode>> = {
  'no-such-path': 'no-such-file',
  'not-a-directory': 'no-such-file',
  'link-loop': 'no-such-file',
  'invalid-filename': 'bad-message',
  'invalid-parameter': 'bad-message',
  'write-protect': 'permission-denied',
}

/** The number of a status in the words of a protocol version. */
export function statusNumber(code: StatusCode, version: number): number {
  const number = statusCodes.indexOf(code)
  if (number <= (lastStatus[version] ?? 8)) return number
  return statusCodes.indexOf(nearest[code] ?? 'failure')
}

/** The status of a number; one that nobody defined is a failure. */
export const statusOf = (number: number): StatusCode => statusCodes[number] ?? 'failure'

/** The text that goes with a status. */
export const statusText = (code: StatusCode): string => (code === 'ok' ? 'Success' : texts[code])

/** Errors of the system (their `code`) as statuses. */
const systemErrors: Readonly<Record<string, SftpErrorCode>> = {
  ENOENT: 'no-such-file',
  EACCES: 'permission-denied',
  EPERM: 'permission-denied',
  EEXIST: 'file-already-exists',
  ENOTEMPTY: 'dir-not-empty',
  ENOTDIR: 'not-a-directory',
  EISDIR: 'file-is-a-directory',
  ELOOP: 'link-loop',
  ENOSPC: 'no-space-on-filesystem',
  EDQUOT: 'quota-exceeded',
  // Node has no name for EDQUOT; its number on Linux, and on macOS and the BSDs.
  'Unknown system error -122': 'quota-exceeded',
  'Unknown system error -69': 'quota-exceeded',
  EROFS: 'write-protect',
  ENAMETOOLONG: 'invalid-filename',
  EINVAL: 'invalid-parameter',
  ERR_INVALID_ARG_VALUE: 'invalid-filename',
  ERR_OUT_OF_RANGE: 'invalid-parameter',
  EBADF: 'invalid-handle',
  ENOSYS: 'op-unsupported',
  ENOTSUP: 'op-unsupported',
  EOPNOTSUPP: 'op-unsupported',
}

/** Anything thrown, as an SftpError: a system's error by its code, without its text, which may show foreign paths. */
export function toSftpError(error: unknown, path?: string): SftpError {
  if (error instanceof SftpError) return error
  const { code: name, errno } = (error ?? {}) as { code?: unknown; errno?: unknown }
  // What Node's calls that block say instead.
  const code = name === 'UNKNOWN' ? `Unknown system error ${errno}` : name
  const status = typeof code === 'string' ? systemErrors[code] : undefined
  return new SftpError(status ?? 'failure', { cause: error, ...(path === undefined ? {} : { path }) })
}
