//! What is published of real markets, as the facts cite it.

use super::Section;

/// The name by which facts cite a publication, and the publication.
const SOURCES: [(&str, &str); 12] = [
    (
        "Andersen and Bollerslev 1997",
        "Intraday periodicity and volatility persistence in financial markets, Journal of Empirical Finance 4; 5-minute returns of \
         DM-$",
    ),
    (
        "Bauwens 2005",
        "Econometric analysis of intra-daily trading activity on the Tokyo Stock Exchange, IMES discussion paper 2005-E-3",
    ),
    (
        "Bouchaud 2004",
        "Bouchaud, Gefen, Potters and Wyart, Fluctuations and response in financial markets, Quantitative Finance 4",
    ),
    (
        "Cont 2001",
        "Empirical properties of asset returns: stylized facts and statistical issues, Quantitative Finance 1",
    ),
    ("Engle and Russell 1998", "Autoregressive conditional duration, Econometrica 66"),
    (
        "Epps 1979",
        "Comovements in stock prices in the very short run, Journal of the American Statistical Association 74",
    ),
    (
        "Gopikrishnan 2000",
        "Gopikrishnan, Plerou, Gabaix and Stanley, Statistical properties of share volume traded in financial markets, Physical \
         Review E 62",
    ),
    ("Harris 1991", "Stock price clustering and discreteness, Review of Financial Studies 4"),
    (
        "Lillo and Farmer 2004",
        "The long memory of the efficient market, Studies in Nonlinear Dynamics & Econometrics 8",
    ),
    (
        "McInish and Wood 1992",
        "An analysis of intraday patterns in bid/ask spreads for NYSE stocks, Journal of Finance 47",
    ),
    (
        "Plerou and Stanley 2007",
        "Tests of scaling and universality of the distributions of trade size and share volume, Physical Review E 76",
    ),
    (
        "Roll 1984",
        "A simple implicit measure of the effective bid-ask spread in an efficient market, Journal of Finance 39",
    ),
];

/// The publications that facts of these sections cite, each as its name and what it is.
pub fn cited(sections: &[Section]) -> impl Iterator<Item = (&'static str, &'static str)> {
    let cites =
        |name: &str| sections.iter().flat_map(|section| &section.facts).any(|fact| fact.real.contains(name));
    SOURCES.into_iter().filter(move |(name, _)| cites(name))
}
