//! Answers that come in pages, as streams of their items.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use tokio_stream::Stream;

use super::{ClientError, convert::Malformed, network::Task, replica::Replica};

/// A stream of the items of an answer that comes in pages. The next page is requested when the items of the last one have
/// been read. After an error the stream ends.
///
/// ```no_run
/// # use ticker::client::{Client, ClientError, InstrumentInfo};
/// use tokio_stream::StreamExt;
///
/// # async fn all(client: &Client) -> Result<(), ClientError> {
/// let instruments: Vec<InstrumentInfo> = client.instruments().collect::<Result<_, _>>().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is read"]
pub struct Pages<T> {
    request: Request<T>,
    /// The items of the page that is read.
    items: vec::IntoIter<T>,
    next: NextPage<T>,
}

/// Items and the token of the next page, which the last page does not have.
pub(super) struct Page<T> {
    items: Vec<T>,
    next_token: String,
}

/// Requests the page with a token.
type Request<T> = Box<dyn FnMut(String) -> Task<Result<Page<T>, ClientError>> + Send>;

enum NextPage<T> {
    Token(String),
    Requested(Task<Result<Page<T>, ClientError>>),
    None,
}

impl<T> Pages<T> {
    pub(super) fn new<F>(mut request: impl FnMut(String) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Page<T>, ClientError>> + Send + 'static,
    {
        Self {
            request: Box::new(move |token| Box::pin(request(token))),
            items: Vec::new().into_iter(),
            next: NextPage::Token(String::new()),
        }
    }
}

impl<T> Page<T> {
    /// Decodes the items of an answer of a replica.
    pub(super) fn of<M>(
        replica: &Replica,
        items: &[M],
        decode: impl Fn(&M) -> Result<T, Malformed>,
        next_token: String,
    ) -> Result<Self, ClientError> {
        let items: Result<_, Malformed> = items.iter().map(decode).collect();
        let items = items.map_err(|malformed| replica.malformed(malformed))?;
        Ok(Self { items, next_token })
    }
}

impl<T: Unpin> Stream for Pages<T> {
    type Item = Result<T, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            match &mut this.next {
                NextPage::Token(token) => {
                    let token = std::mem::take(token);
                    this.next = NextPage::Requested((this.request)(token));
                }
                NextPage::Requested(page) => {
                    let page = ready!(page.as_mut().poll(context));
                    this.next = NextPage::None;
                    match page {
                        Ok(Page { items, next_token }) => {
                            this.items = items.into_iter();
                            if !next_token.is_empty() {
                                this.next = NextPage::Token(next_token);
                            }
                        }
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                NextPage::None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("unread", &self.items.len()).finish_non_exhaustive()
    }
}
