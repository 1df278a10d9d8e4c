"""stub"""
import numpy as np
def warn_of_moments(*a,**k): pass
def means(family, predictors, dispersion, sizes):
    m,v=predictors.block(slice(None)); return family.mean(sizes[:,None],m,dispersion).mean(1)
