import { ConnectionLostError, messageOf, ProtocolError } from '../../lib/errors.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { TransferError } from '../../lib/sftp/transfer.ts'
import { visible } from '../terminal/names.ts'

/** Errors of the system by their names, in the words of strerror(3). */
const systemTexts: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EPERM: 'Operation not permitted',
  EEXIST: 'File exists',
  ENOTEMPTY: 'Directory not empty',
  ENOTDIR: 'Not a directory',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  ENOSPC: 'No space left on device',
  EDQUOT: 'Disk quota exceeded',
  EFBIG: 'File too large',
  EROFS: 'Read-only file system',
  ENAMETOOLONG: 'File name too long',
  EINVAL: 'Invalid argument',
  EIO: 'Input/output error',
  EMFILE: 'Too many open files',
  ENXIO: 'No such device or address',
  EXDEV: 'Invalid cross-device link',
  ETXTBSY: 'Text file busy',
}

/** Statuses that say all there is to say, in the words of sftp(1): servers' own words for them differ. */
const statusTexts: Readonly<Record<string, string>> = {
  'no-such-file': 'No such file or directory',
  'permission-denied': 'Permission denied',
  'op-unsupported': 'Operation unsupported',
}

/** Why something failed, without the path: for local files as strerror(3), for remote ones as the server said. */
export function reasonText(error: unknown): string {
  const cause = error instanceof SftpError ? error.cause : error
  const code = (cause as { code?: unknown } | undefined)?.code
  if (typeof code === 'string' && !(cause instanceof SftpError)) {
    const text = systemTexts[code]
    if (text) return text
    // What Node has no name for.
    if (error instanceof SftpError && error.code === 'quota-exceeded') return systemTexts['EDQUOT']!
  }
  if (error instanceof SftpError && statusTexts[error.code]) return statusTexts[error.code]!
  const message = messageOf(error)
  if (error instanceof SftpError && error.path !== undefined && message.startsWith(`${error.path}: `))
    return visible(message.slice(error.path.length + 2))
  return visible(message)
}

/** Why a session ended, where "Connection closed" would hide it: the peer broke the protocol, or was silent too long. */
export function lossText(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const isTold =
    error instanceof ProtocolError ||
    (error instanceof ConnectionLostError && (error.code === 'timeout' || error.code === 'keepalive'))
  return isTold ? visible(messageOf(error)) : lossText(error instanceof TransferError ? error.reason : error.cause)
}

export type Direction = 'get' | 'put' | 'copy'

/** What sftp and scp say of a file that was not copied. */
export function transferFailureText({ step, source, target, reason }: TransferError, direction: Direction): string {
  const why = reasonText(reason)
  const [from, to] = [visible(source), visible(target)]
  const [there, here] = direction === 'get' ? (['remote', 'local'] as const) : (['local', 'remote'] as const)
  const isDirectory = reason instanceof SftpError && reason.code === 'file-is-a-directory'
  switch (step) {
    case 'look':
      if (isDirectory || why.endsWith('not a regular file')) {
        return direction === 'put' ? `local "${from}" is not a regular file` : `download ${from}: not a regular file`
      }
      if (why.startsWith('Maximum directory depth')) return why
      return direction === 'put' ? `stat ${from}: ${why}` : `stat ${there} "${from}": ${why}`
    case 'list':
      return direction === 'put' ? `local opendir "${from}": ${why}` : `remote readdir "${from}": ${why}`
    case 'open-source':
      return direction === 'put' ? `open local "${from}": ${why}` : `remote open "${from}": ${why}`
    case 'open-target':
      return direction === 'get' ? `open local "${to}": ${why}` : `dest open "${to}": ${why}`
    case 'read':
      return direction === 'put' ? `read local "${from}": ${why}` : `read remote "${from}" : ${why}`
    case 'mkdir':
      return direction === 'get' ? `mkdir ${to}: ${why}` : `remote mkdir "${to}": ${why}`
    case 'attributes':
      return `${here} setstat "${to}": ${why}`
    case 'link':
      return `${here} symlink "${to}": ${why}`
    case 'resume':
      return `Unable to resume ${direction === 'get' ? 'download' : 'upload'} of "${to}": ${why}`
    case 'rename':
      return `${here} rename to "${to}": ${why}`
    default:
      return `write ${here} "${to}": ${why}`
  }
}
