"""The stages of the method up to the selection, one file each. None of them sees an answer to the instance."""
