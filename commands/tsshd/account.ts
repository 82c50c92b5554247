import { userInfo } from 'node:os'

/** The user that sessions run as. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly home: string
  readonly shell: string
}

/** The user of this process: the only one that can be served without changing users. */
export function ownAccount(): Account {
  const { username, uid, homedir, shell } = userInfo()
  return { name: username, uid, home: homedir, shell: shell || '/bin/sh' }
}
