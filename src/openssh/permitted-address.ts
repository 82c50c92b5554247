/** One entry of PermitOpen, PermitListen, permitopen= and permitlisten=. */
export interface PermittedAddress {
  /** `*` for any. */
  readonly host: string
  readonly port: number | '*'
}

const hostLimit = 1025

/** Reads `host:port`; brackets may protect colons. A string is what is wrong, in sshd's words. */
export function parsePermittedAddress(spec: string): PermittedAddress | string {
  const [, bracketed, plain = '', portText] =
    /^(?:(\[[^\]]*\])|([^:/]*))(?:[:/]([\s\S]*))?$/.exec(spec.startsWith('[') ? spec : `${spec}`) ?? []
  const host = bracketed ?? plain
  if (bracketed === undefined && spec.startsWith('[')) return 'invalid permission hostname'
  if (host.length >= hostLimit) return 'invalid permission hostname'
  const port = portText === '*' ? '*' : portOf(portText)
  return port === undefined ? 'invalid permission port' : { host: host.replace(/^\[(.*)\]$/, '$1'), port }
}

/** A port above 0. As strtonum(3) reads it: blanks and a sign may stand before. Services have no names here. */
function portOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^[ \t\n\v\f\r]*\+?\d+$/.test(text)) return undefined
  const port = Number(text)
  return port > 0 && port <= 65535 ? port : undefined
}
