import { CommandError } from '../../src/command/errors.ts'
import { queryAlgorithms } from '../../src/openssh/algorithm-query.ts'

/** `-Q query`: one name per line. @throws CommandError (1) for a query that there is not */
export function printQuery(query: string): number {
  const names = queryAlgorithms(query)
  if (!names) throw new CommandError(`Unsupported query "${query}"`, 1)
  process.stdout.write(names.map(name => `${name}\n`).join(''))
  return 0
}
