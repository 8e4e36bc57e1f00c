-- Forgets some of what has ended. ARGV: the grace, how many
sweep(clock() - ARGV[1], ARGV[2])
return 'swept'
