package statuslist

// Hold lets a state keep that many bytes of lists, in place of maxBytes.
func (s *State) Hold(most int) { s.most = most }
