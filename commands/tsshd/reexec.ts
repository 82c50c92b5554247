/** Processes that tsshd starts of itself, told apart by what follows `-R`. */
export type Role = 'connection' | 'pam' | 'daemon'

const roles: readonly Role[] = ['connection', 'pam', 'daemon']

/** The role that a command line gives this process, and what is left of it. */
export function roleOf(args: readonly string[]): { readonly role: Role; readonly rest: readonly string[] } | undefined {
  const role = args[0] === '-R' ? roles.find(name => name === args[1]) : undefined
  return role && { role, rest: args.slice(2) }
}

/** Program and arguments that start this very program in a role. */
export function reexecution(role: Role, rest: readonly string[] = []): readonly [string, ...string[]] {
  return [process.execPath, ...process.execArgv, process.argv[1]!, '-R', role, ...rest]
}
