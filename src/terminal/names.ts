import { sanitize } from '../../lib/errors.ts'

/**
 * A file name or path from a peer, or from the disk, as it may be shown: on one line, controls and bytes that are not
 * UTF-8 as `\ooo`.
 */
export const visible = (name: string): string =>
  sanitize(
    name.replace(/[\udc80-\udcff]/gu, unit => `\\${(unit.charCodeAt(0) - 0xdc00).toString(8)}`),
    true,
  )
