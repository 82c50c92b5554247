import { keyboardInteractive } from './keyboard-interactive.ts'
import type { AuthMethod } from './method.ts'
import { none } from './none.ts'
import { password } from './password.ts'
import { hostboundName, publickey } from './publickey.ts'

/** Every method, in the order in which a server names them. */
export const authMethods: readonly AuthMethod[] = [none, publickey, password, keyboardInteractive]

/** The method of a request; one name is a variant of another. */
export const findMethod = (name: string): AuthMethod | undefined =>
  authMethods.find(method => method.name === (name === hostboundName ? publickey.name : name))
