import type { Connection } from '../connection.ts'

/** Whether the peer says that it is OpenSSH or ours: others may break on OpenSSH's own requests (PROTOCOL §2). */
export function isKindred(connection: Connection): boolean {
  return /^SSH-[\d.]+-(OpenSSH|tssh)/.test(connection.transport.peerIdentification)
}
